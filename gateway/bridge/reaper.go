package main

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reaper starts children and reaps all of them. The program has a single waiter, so that no exit status is lost to another;
// children are started from a single locked thread, because the parent death signal belongs to a thread.
type reaper struct {
	mu        sync.Mutex
	children  map[int]*process
	maximum   int
	epoch     uint64
	oomKills  uint64 // kernel kills at the last count
	countOOMs func() uint64
	requests  chan func()
}

func newReaper(maximum int, countOOMs func() uint64) *reaper {
	n := &reaper{children: map[int]*process{}, maximum: maximum, countOOMs: countOOMs, requests: make(chan func())}
	n.oomKills = countOOMs()
	if os.Getpid() != 1 {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	go func() {
		runtime.LockOSThread()
		for f := range n.requests {
			f()
		}
	}()
	go n.reap(childSignals()) // the signals are asked for before a child can end
	return n
}

func (n *reaper) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.children)
}

func (n *reaper) all() []*process {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*process, 0, len(n.children))
	for _, p := range n.children {
		out = append(out, p)
	}
	return out
}

var errTooMany = errors.New("too many processes")

// start runs argv with the three descriptors. The lock is held across fork and registration: the reaper cannot see a child that
// is not in the table yet. Errors: errTooMany, *startFailure.
func (n *reaper) start(l *launch, stdin, stdout, stderr int, tail *stderrTail) (*process, error) {
	type result struct {
		p   *process
		err error
	}
	reply := make(chan result, 1)
	n.requests <- func() {
		p, err := n.fork(l, []uintptr{uintptr(stdin), uintptr(stdout), uintptr(stderr)}, tail)
		reply <- result{p, err}
	}
	r := <-reply
	return r.p, r.err
}

func (n *reaper) fork(l *launch, files []uintptr, tail *stderrTail) (*process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.children) >= n.maximum {
		return nil, errTooMany
	}
	pid, err := syscall.ForkExec(l.path, l.argv, &syscall.ProcAttr{
		Env:   l.env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL},
	})
	if err != nil {
		return nil, startError(l.path, err)
	}
	n.epoch++
	p := &process{
		pid: pid, epoch: n.epoch, began: time.Now(), wrote: l.wrote, tail: tail, reaper: n,
		done: make(chan struct{}), over: make(chan struct{}),
	}
	n.children[pid] = p
	return p, nil
}

// reap waits without reaping (WNOWAIT), so that the dead child's process group still belongs to it while what is left of that
// group is killed, and only then takes the zombie.
func (n *reaper) reap(signals <-chan os.Signal) {
	for range signals {
		for n.reapOne() {
		}
	}
}

func (n *reaper) reapOne() bool {
	pid := peekZombie()
	if pid == 0 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.children[pid]
	if p != nil {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	var status unix.WaitStatus
	var usage unix.Rusage
	if _, err := unix.Wait4(pid, &status, 0, &usage); err != nil {
		return !errors.Is(err, unix.ECHILD)
	}
	if p == nil { // an orphan that was re-parented to us
		return true
	}
	delete(n.children, pid)
	p.peak = uint64(usage.Maxrss) << 10
	close(p.done)
	go p.finish(status, n.kernelKilled())
	return true
}

// kernelKilled reports whether the kernel has killed for memory in this container since the last count.
func (n *reaper) kernelKilled() bool {
	before := n.oomKills
	n.oomKills = n.countOOMs()
	return n.oomKills > before
}

// childInfo is unix.Siginfo with the process's number, for which that type has no name: si_pid in sigaction(2).
type childInfo struct {
	signo, errno, code int32
	_                  int32 // the kernel aligns the union that follows to 8 bytes
	pid                int32
	_                  [108]byte
}

var _ = [1]struct{}{}[unsafe.Sizeof(childInfo{})-unsafe.Sizeof(unix.Siginfo{})] // the kernel writes one into the other

// peekZombie is the number of a child that has ended and is not reaped yet; 0 for none.
func peekZombie() int {
	for {
		var info childInfo
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		switch err {
		case nil:
			return int(info.pid)
		case unix.EINTR:
		default:
			return 0
		}
	}
}
