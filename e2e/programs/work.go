// Honest work: files of a granted tree, threads, JSON, a timer, a program where processes are allowed, a result.
package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

type given struct {
	Name   string `json:"name"`
	Writes bool   `json:"writes"`
	Starts bool   `json:"starts"`
}

type result struct {
	Name  string   `json:"name"`
	Sum   int      `json:"sum"`
	Files []string `json:"files"`
	Timer bool     `json:"timer"`
	File  string   `json:"file,omitempty"`
	Child string   `json:"child,omitempty"`
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(err error) { must(0, err) }

func main() {
	var in given
	check(json.NewDecoder(os.Stdin).Decode(&in))
	var numbers []int
	check(json.Unmarshal(must(os.ReadFile("/data/numbers.json")), &numbers))
	out := result{Name: in.Name}
	var all sync.WaitGroup
	sums := make([]int, 4)
	for part := range sums {
		all.Add(1)
		go func(part int) {
			defer all.Done()
			for index := part; index < len(numbers); index += len(sums) {
				sums[part] += numbers[index]
			}
		}(part)
	}
	all.Wait()
	for _, sum := range sums {
		out.Sum += sum
	}
	started := time.Now()
	<-time.After(20 * time.Millisecond)
	out.Timer = time.Since(started) >= 20*time.Millisecond
	for _, entry := range must(os.ReadDir("/data")) {
		if !strings.HasPrefix(entry.Name(), ".") {
			out.Files = append(out.Files, entry.Name())
		}
	}
	if in.Writes {
		check(os.WriteFile("/work/out.txt", []byte("written"), 0o600))
		check(os.Rename("/work/out.txt", "/work/kept.txt"))
		out.File = string(must(os.ReadFile("/work/kept.txt")))
	}
	if in.Starts {
		out.Child = strings.TrimSpace(string(must(exec.Command("/bin/busybox", "echo", "hello").Output())))
	}
	check(json.NewEncoder(os.Stdout).Encode(out))
}
