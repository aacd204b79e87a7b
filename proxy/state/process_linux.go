package state

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// processStart returns when a process started, in ticks since the boot that is
// named with them, and whether there is such a process, zombies not counted.
func processStart(pid int) (start string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	// The second field is the program's name in parentheses; it may hold some.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const state, threads, startTime = 0, 17, 19 // fields 3, 20 and 22, see proc(5)
	if len(fields) <= startTime || bytes.ContainsAny(fields[state], "Xx") {
		return "", false
	}
	// A process that is killed is a zombie as soon as its first thread has ended.
	// Others may still have its locks and ports.
	if bytes.Contains(fields[state], []byte("Z")) && (string(fields[threads]) == "1" || string(fields[threads]) == "0") {
		return "", false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = nil
	}
	return strings.TrimSpace(string(boot)) + "/" + string(fields[startTime]), true
}
