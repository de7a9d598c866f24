package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// runInstall copies this binary, so that an image without a shell can provide it to another container. The copy appears under its
// name only when it is whole.
func runInstall(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "mcp-bridge install: exactly 1 PATH is required")
		return exitUsage
	}
	if err := install(args[0]); err != nil {
		fmt.Fprintln(os.Stderr, "mcp-bridge install:", err)
		return 1
	}
	return 0
}

func install(target string) error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	temporary, err := os.CreateTemp(filepath.Dir(target), ".mcp-bridge-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // fails when all went well
	if _, err := io.Copy(temporary, self); err != nil {
		return err
	}
	if err := temporary.Chmod(0o555); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), target)
}
