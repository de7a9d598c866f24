package main

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// nursery starts children and reaps everything. There is one waiter in the whole program, so no exit status is ever lost to
// another; children are started from one locked thread, because the parent death signal belongs to a thread.
type nursery struct {
	mu        sync.Mutex
	children  map[int]*process
	maximum   int
	epoch     uint64
	oomKills  uint64 // of the kernel, as far as the last look
	countOOMs func() uint64
	requests  chan func()
}

func newNursery(maximum int, countOOMs func() uint64) *nursery {
	n := &nursery{children: map[int]*process{}, maximum: maximum, countOOMs: countOOMs, requests: make(chan func())}
	n.oomKills = countOOMs()
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

var errTooMany = errors.New("too many processes")

// start runs argv with the three descriptors. The lock is held across fork and registration: the reaper cannot see a child that
// is not in the table yet. Errors: errTooMany, *startFailure.
func (n *nursery) start(l *launch, stdin, stdout, stderr int, tail *stderrTail) (*process, error) {
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

func (n *nursery) fork(l *launch, files []uintptr, tail *stderrTail) (*process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.children) >= n.maximum {
		return nil, errTooMany
	}
	pid, err := syscall.ForkExec(l.path, l.argv, &syscall.ProcAttr{
		Env:   l.env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return nil, startError(l.path, err)
	}
	n.epoch++
	p := &process{
		pid: pid, epoch: n.epoch, began: time.Now(), spoke: l.spoke, tail: tail, nursery: n,
		done: make(chan struct{}), over: make(chan struct{}),
	}
	n.children[pid] = p
	return p, nil
}

// reap waits without reaping (WNOWAIT), so that the dead child's process group still belongs to it while what is left of that
// group is killed, and only then takes the zombie.
func (n *nursery) reap() {
	for range childSignals() {
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
	close(p.done)
	go p.finish(status, n.kernelKilled())
	return true
}

// kernelKilled says whether the kernel has killed for memory in this container since the last look.
func (n *nursery) kernelKilled() bool {
	before := n.oomKills
	n.oomKills = n.countOOMs()
	return n.oomKills > before
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
