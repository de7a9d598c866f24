package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// A packageManager installs one package by the ordinary client of its registry.
type packageManager interface {
	lock() ([]lockedPackage, error) // resolve; nothing of the packages runs
	install() error                 // exactly what is locked, checked against its digests
	program() (string, error)       // the absolute path of the program
}

func newManager(p packageInstall, work string) (packageManager, error) {
	if p.npm != "" {
		return newNpm(p, work)
	}
	return newUv(p, work)
}

// client runs a program of a registry's client.
type client struct {
	dir string
	env []string
	p   packageInstall
}

// The start of the output has the cause, its end the details; a client may write much.
const clientOutput = 64 << 10

func (c client) run(stdin string, command ...string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return &installFailure{"RunnerIncomplete", command[0] + " is not in the runner image: use one with node, npm and uv"}
	}
	child := exec.Command(path, command[1:]...)
	output := &boundedBuffer{most: clientOutput}
	child.Dir, child.Env, child.Stdin = c.dir, c.env, strings.NewReader(stdin)
	child.Stdout, child.Stderr = output, output
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = child.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return diagnose(c.p.label(), output.String(), exit.String())
	}
	return err
}

// boundedBuffer keeps the first bytes.
type boundedBuffer struct {
	bytes.Buffer
	most int
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if room := b.most - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// clientEnvironment is this process's own, with HOME and temporary files in a folder that is removed.
func clientEnvironment(work string, more ...string) []string {
	return append(append(os.Environ(), "TMPDIR="+work), more...)
}
