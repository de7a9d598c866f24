package main

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

// process is one running child, leader of its own process group.
type process struct {
	pid     int
	epoch   uint64 // the how manieth process of this bridge
	began   time.Time
	tail    *stderrTail
	nursery *nursery
	spoke   func() bool   // whether it has written something, as far as the bridge can see; asked once, at its end
	worked  bool          // the answer
	done    chan struct{} // closed when it has been reaped
	over    chan struct{} // closed when exit is complete
	exit    exitReport

	mu    sync.Mutex
	ended string // why the bridge ended it
	oom   bool
	after []func(exitReport)
}

// signalGroup does nothing once the child has been reaped, when the number may be another's.
func (p *process) signalGroup(sig syscall.Signal) {
	p.nursery.mu.Lock()
	defer p.nursery.mu.Unlock()
	if p.nursery.children[p.pid] == p {
		_ = syscall.Kill(-p.pid, sig)
	}
}

// stop ends a child whose stdin is closed already: wait, TERM, wait, KILL. The first cause is the one that is reported.
func (p *process) stop(grace time.Duration, cause string) {
	p.blame(cause)
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

func (p *process) blame(cause string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == "" {
		p.ended = cause
	}
}

// killForMemory is the memory guard's.
func (p *process) killForMemory() {
	p.mu.Lock()
	p.oom = true
	p.mu.Unlock()
	p.blame("memory")
	p.signalGroup(syscall.SIGKILL)
}

// whenOver calls f with the complete report, at once if there is one.
func (p *process) whenOver(f func(exitReport)) {
	p.mu.Lock()
	select {
	case <-p.over:
		p.mu.Unlock()
		f(p.exit)
	default:
		p.after = append(p.after, f)
		p.mu.Unlock()
	}
}

// finish completes the report of a child that has been reaped.
func (p *process) finish(status syscall.WaitStatus, kernelKilled bool) {
	stderr := p.tail.last()
	p.mu.Lock()
	p.worked = p.spoke()
	p.exit = report(status)
	p.exit.Ended = p.ended
	p.exit.OOM = p.oom || kernelKilled && p.exit.Signal == "SIGKILL" && p.ended == ""
	p.exit.Stderr = stderr
	after := p.after
	close(p.over)
	p.mu.Unlock()
	for _, f := range after {
		f(p.exit)
	}
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
		syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
		syscall.SIGKILL: "SIGKILL", syscall.SIGUSR1: "SIGUSR1", syscall.SIGSEGV: "SIGSEGV", syscall.SIGUSR2: "SIGUSR2",
		syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM", syscall.SIGXCPU: "SIGXCPU",
		syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGSYS: "SIGSYS",
	}
	if name, ok := names[s]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
