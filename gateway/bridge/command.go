package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// startFailure is why a command cannot start: the errno's name, a message, and the exit code of a shell.
type startFailure struct {
	reason, message string
	code            int
}

func (e *startFailure) Error() string { return e.message }

// Exit codes follow the shell.
const (
	exitUsage         = 2
	exitCannotExecute = 126
	exitNotFound      = 127
)

func startError(path string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return &startFailure{"ENOENT", path + " exists, but its interpreter or loader does not: is it built for this image's libc?", exitNotFound}
	case errors.Is(err, unix.EACCES):
		return &startFailure{"EACCES", path + " may not be executed by this user: check its mode and the mount's noexec", exitCannotExecute}
	case errors.Is(err, unix.ENOEXEC):
		return &startFailure{"ENOEXEC", path + " is not a program for this machine: wrong architecture, or a script without #!", exitCannotExecute}
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return &startFailure{errnoName(errno), fmt.Sprintf("%s: %v", path, errno), exitCannotExecute}
	}
	return &startFailure{"unknown", fmt.Sprintf("%s: %v", path, err), exitCannotExecute}
}

func errnoName(errno unix.Errno) string {
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(errno))
}

// lookPath resolves a command as execvp does, on the child's own PATH. Errors: *startFailure.
func lookPath(command string, env []string) (string, error) {
	if strings.Contains(command, "/") {
		return command, executable(command)
	}
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, line := range env {
		if value, ok := strings.CutPrefix(line, "PATH="); ok {
			path = value
		}
	}
	var denied error
	for _, dir := range filepath.SplitList(path) {
		candidate := filepath.Join(dir, command)
		err := executable(candidate)
		if err == nil {
			return candidate, nil
		}
		var failure *startFailure
		if errors.As(err, &failure) && failure.reason == "EACCES" {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &startFailure{"ENOENT", fmt.Sprintf("command %q is not on PATH (%s)", command, path), exitNotFound}
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return &startFailure{"ENOENT", path + " does not exist", exitNotFound}
	}
	if info.IsDir() {
		return &startFailure{"EACCES", path + " is a directory", exitCannotExecute}
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return &startFailure{"EACCES", path + " may not be executed by this user", exitCannotExecute}
	}
	return nil
}
