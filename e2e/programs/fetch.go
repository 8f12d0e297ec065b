// Fetches each URL of its input, and tells what came of it and how long that took. Nobody told it of a proxy.
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"time"
)

type answer struct {
	Body   string `json:"body,omitempty"`
	Error  string `json:"error,omitempty"`
	Millis int64  `json:"millis"`
}

func fetch(url string) answer {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return answer{Error: err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Body: string(body)}
}

func main() {
	var given struct {
		URLs  []string `json:"urls"`
		Times int      `json:"times"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	answers := []answer{}
	for _, url := range given.URLs {
		best := answer{Millis: 1 << 30}
		for try := 0; try < given.Times; try++ {
			started := time.Now()
			one := fetch(url)
			one.Millis = min(best.Millis, time.Since(started).Milliseconds())
			best = one
		}
		answers = append(answers, best)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}
