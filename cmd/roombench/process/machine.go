package process

import (
	"bufio"
	"os"
	"runtime"
	"strings"
)

// Machine names the processor, if the system says.
func Machine() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "model name"); ok {
			return strings.TrimLeft(name, "\t :")
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
