package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// process is one running child, leader of its own process group.
type process struct {
	pid   int
	epoch uint64
	tail  *stderrTail
	done  chan struct{} // closed when it has been reaped and exit is set
	exit  exitReport
}

// signalGroup is safe only while the child is not reaped; the reaper closes done before it reaps.
func (p *process) signalGroup(sig syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.pid, sig)
	}
}

// stop ends a child whose stdin is closed already: wait, TERM, wait, KILL.
func (p *process) stop(grace time.Duration) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-p.done:
			return
		case <-time.After(grace):
			p.signalGroup(sig)
		}
	}
	<-p.done
}

// nursery starts children and reaps everything. There is one waiter in the whole program, so no exit status is ever lost to
// another; children are started from one locked thread, because the parent death signal belongs to a thread.
type nursery struct {
	mu       sync.Mutex
	children map[int]*process
	epoch    uint64
	requests chan func()
	log      *logger
}

func newNursery(log *logger) *nursery {
	n := &nursery{children: map[int]*process{}, requests: make(chan func()), log: log}
	if os.Getpid() != 1 {
		becomeSubreaper()
	}
	go func() {
		runtime.LockOSThread()
		for f := range n.requests {
			f()
		}
	}()
	go n.reap()
	return n
}

const prSetChildSubreaper = 36

func becomeSubreaper() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
}

func (n *nursery) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.children)
}

func (n *nursery) all() []*process {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*process, 0, len(n.children))
	for _, p := range n.children {
		out = append(out, p)
	}
	return out
}

// start runs argv with the three descriptors. The lock is held across fork and registration: the reaper cannot see a child that
// is not in the table yet.
func (n *nursery) start(argv, env []string, stdin, stdout, stderr int, tail *stderrTail) (*process, error) {
	path, err := lookPath(argv[0], env)
	if err != nil {
		return nil, err
	}
	type result struct {
		p   *process
		err error
	}
	reply := make(chan result, 1)
	n.requests <- func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
			Env:   env,
			Files: []uintptr{uintptr(stdin), uintptr(stdout), uintptr(stderr)},
			Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
		})
		if err != nil {
			reply <- result{err: startError(path, err)}
			return
		}
		n.epoch++
		p := &process{pid: pid, epoch: n.epoch, tail: tail, done: make(chan struct{})}
		n.children[pid] = p
		reply <- result{p: p}
	}
	r := <-reply
	return r.p, r.err
}

// reap waits without reaping (WNOWAIT), so that the dead child's process group still belongs to it while what is left of that
// group is killed, and only then takes the zombie.
func (n *nursery) reap() {
	signals := childSignals()
	for range signals {
		for n.reapOne() {
		}
	}
}

func (n *nursery) reapOne() bool {
	pid := peekZombie()
	if pid == 0 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.children[pid]
	if p != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return !errors.Is(err, syscall.ECHILD)
	}
	if p == nil { // an orphan that was re-parented to us
		return true
	}
	delete(n.children, pid)
	p.exit = report(status)
	close(p.done)
	return true
}

func report(status syscall.WaitStatus) exitReport {
	if status.Signaled() {
		return exitReport{Code: 128 + int(status.Signal()), Signal: signalName(status.Signal())}
	}
	return exitReport{Code: status.ExitStatus()}
}

func signalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
		syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE", syscall.SIGKILL: "SIGKILL",
		syscall.SIGSEGV: "SIGSEGV", syscall.SIGPIPE: "SIGPIPE", syscall.SIGTERM: "SIGTERM", syscall.SIGUSR1: "SIGUSR1",
		syscall.SIGUSR2: "SIGUSR2",
	}
	if name, ok := names[s]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}

// siginfo is the kernel's siginfo_t on 64-bit Linux: three ints, padding to the union's 8-byte boundary, then si_pid; 128 bytes.
type siginfo struct {
	_   [16]byte
	pid int32
	_   [108]byte
}

const (
	pAll    = 0
	wExited = 0x4
	wNoWait = 0x1000000
)

func peekZombie() int {
	for {
		var info siginfo
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pAll, 0, uintptr(unsafe.Pointer(&info)), wExited|wNoWait|syscall.WNOHANG, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return 0
		}
		return int(info.pid)
	}
}

// startFailure names why a command cannot start, in the kernel's word and in a person's.
type startFailure struct{ reason, message string }

func (e *startFailure) Error() string { return e.message }

func startError(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return &startFailure{"ENOENT", path + " exists, but its interpreter or loader does not: is it built for this image's libc?"}
	case errors.Is(err, syscall.EACCES):
		return &startFailure{"EACCES", path + " may not be executed by this user: check its mode and the mount's noexec"}
	case errors.Is(err, syscall.ENOEXEC):
		return &startFailure{"ENOEXEC", path + " is not a program for this machine: wrong architecture, or a script without #!"}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &startFailure{fmt.Sprintf("errno %d", int(errno)), fmt.Sprintf("%s: %v", path, errno)}
	}
	return &startFailure{"unknown", fmt.Sprintf("%s: %v", path, err)}
}

// lookPath finds a command as execvp would, on the child's own PATH.
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
	return "", &startFailure{"ENOENT", fmt.Sprintf("command %q is not on PATH (%s)", command, path)}
}

const accessExecute = 1

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return &startFailure{"ENOENT", path + " does not exist"}
	}
	if info.IsDir() {
		return &startFailure{"EACCES", path + " is a directory"}
	}
	if err := syscall.Access(path, accessExecute); err != nil {
		return &startFailure{"EACCES", path + " may not be executed by this user"}
	}
	return nil
}
