package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// startFailure names why a command cannot start, in the kernel's word and in a person's; code is what a shell would exit with.
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
	case errors.Is(err, syscall.ENOENT):
		return &startFailure{"ENOENT", path + " exists, but its interpreter or loader does not: is it built for this image's libc?", exitNotFound}
	case errors.Is(err, syscall.EACCES):
		return &startFailure{"EACCES", path + " may not be executed by this user: check its mode and the mount's noexec", exitCannotExecute}
	case errors.Is(err, syscall.ENOEXEC):
		return &startFailure{"ENOEXEC", path + " is not a program for this machine: wrong architecture, or a script without #!", exitCannotExecute}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &startFailure{errnoName(errno), fmt.Sprintf("%s: %v", path, errno), exitCannotExecute}
	}
	return &startFailure{"unknown", fmt.Sprintf("%s: %v", path, err), exitCannotExecute}
}

func errnoName(errno syscall.Errno) string {
	names := map[syscall.Errno]string{
		syscall.EAGAIN: "EAGAIN", syscall.ENOMEM: "ENOMEM", syscall.EMFILE: "EMFILE", syscall.ENFILE: "ENFILE", syscall.E2BIG: "E2BIG",
		syscall.EPERM: "EPERM", syscall.ETXTBSY: "ETXTBSY", syscall.ELIBBAD: "ELIBBAD", syscall.EIO: "EIO", syscall.ENOTDIR: "ENOTDIR",
	}
	if name, ok := names[errno]; ok {
		return name
	}
	return fmt.Sprintf("errno %d", int(errno))
}

// lookPath finds a command as execvp would, on the child's own PATH. Errors: *startFailure.
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

const accessExecute = 1

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return &startFailure{"ENOENT", path + " does not exist", exitNotFound}
	}
	if info.IsDir() {
		return &startFailure{"EACCES", path + " is a directory", exitCannotExecute}
	}
	if err := syscall.Access(path, accessExecute); err != nil {
		return &startFailure{"EACCES", path + " may not be executed by this user", exitCannotExecute}
	}
	return nil
}
