# Honest work of a shell, whose commands are busybox's own: what it starts needs processes, so this is for where they are allowed.
set -eu
given=$(cat | tr -d ' \n')
name=${given#*\"name\":\"}
name=${name%%\"*}
sum=0
for number in $(tr -d '[] ' </data/numbers.json | tr , ' '); do sum=$((sum + number)); done
files=
for file in /data/*; do files="$files,\"${file##*/}\""; done
before=$(date +%s)
sleep 1
after=$(date +%s)
timer=false
if [ $((after - before)) -ge 1 ]; then timer=true; fi
extra=
case $given in *'"writes":true'*)
    echo written >/work/out.txt
    mv /work/out.txt /work/kept.txt
    extra=",\"file\":\"$(cat /work/kept.txt)\""
    ;;
esac
printf '{"name":"%s","sum":%s,"files":[%s],"timer":%s%s,"child":"%s"}\n' "$name" "$sum" "${files#,}" "$timer" "$extra" "$(echo hello)"
