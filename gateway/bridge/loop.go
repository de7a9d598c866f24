package main

import (
	"io"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop waits for descriptors on one thread of its own. Go's poller is not used for them, for two reasons. It would wake the bridge
// for every message on a handed-over socket, and the point of the hand-over is that the bridge costs nothing. And a goroutine
// for each direction of each session costs more memory and more latency than one thread that moves the bytes itself.
//
// Handlers and posted functions run on that thread, one after another, and must not block.
type loop struct {
	epoll, wake int
	mu          sync.Mutex
	posted      []func()
	handlers    map[int32]registration
	generation  int32
	busy        []func() // handlers with more work than a turn allows
	scratch     [chunkSize]byte
}

// registration distinguishes a descriptor from an earlier one of the same number, whose events may still be queued.
type registration struct {
	generation int32
	ready      func(events uint32)
}

const (
	eventsHangup = unix.EPOLLRDHUP | unix.EPOLLET
	eventsInput  = unix.EPOLLIN | unix.EPOLLET
	eventsRoom   = unix.EPOLLOUT | unix.EPOLLET
	eventsData   = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	eventsBroken = unix.EPOLLHUP | unix.EPOLLERR // reported without being asked for
)

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	l := &loop{epoll: epoll, wake: wake, handlers: map[int32]registration{}}
	if err := l.add(wake, unix.EPOLLIN, func(uint32) { l.drainWake() }); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

// post runs f on the loop's thread; it may be called from anywhere, the loop included.
func (l *loop) post(f func()) {
	l.mu.Lock()
	l.posted = append(l.posted, f)
	first := len(l.posted) == 1
	l.mu.Unlock()
	if first {
		increment := [8]byte{1}
		_, _ = unix.Write(l.wake, increment[:])
	}
}

// call is post that waits until f has run; not for the loop itself.
func (l *loop) call(f func()) {
	done := make(chan struct{})
	l.post(func() { f(); close(done) })
	<-done
}

// add watches a descriptor, which must be removed before it is closed. It may be called from anywhere.
func (l *loop) add(fd int, events uint32, ready func(events uint32)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	event := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: l.generation}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return err
	}
	l.handlers[int32(fd)] = registration{l.generation, ready}
	return nil
}

func (l *loop) remove(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.handlers, int32(fd))
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
}

// again runs f once more, after the other handlers; only for the loop's own thread.
func (l *loop) again(f func()) { l.busy = append(l.busy, f) }

func (l *loop) run() {
	runtime.LockOSThread()
	events := make([]unix.EpollEvent, 64)
	for {
		n := l.wait(events)
		for i := range n {
			if ready := l.handler(&events[i]); ready != nil {
				ready(events[i].Events)
			}
		}
		busy := l.busy
		l.busy = nil
		for _, f := range busy {
			f()
		}
	}
}

// hotWait is how long the loop waits without a notice to Go's scheduler. The notice costs more than a message does, since the
// scheduler takes the processor away and must return it at the next event. The wait is short, so that the runtime is not delayed.
const hotWait = 1 // millisecond

func (l *loop) wait(events []unix.EpollEvent) int {
	timeout := hotWait
	if len(l.busy) > 0 {
		timeout = 0
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(timeout), 0, 0)
	if errno == 0 && n > 0 {
		return int(n)
	}
	if timeout == 0 {
		return 0
	}
	blocked, err := unix.EpollWait(l.epoll, events, -1)
	if err != nil && err != unix.EINTR {
		panic(err) // the descriptor is ours and open: nothing else can go wrong
	}
	return max(blocked, 0)
}

func (l *loop) handler(event *unix.EpollEvent) func(uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, registered := l.handlers[event.Fd]; registered && r.generation == event.Pad {
		return r.ready
	}
	return nil
}

func (l *loop) drainWake() {
	var count [8]byte
	_, _ = unix.Read(l.wake, count[:])
	l.mu.Lock()
	posted := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range posted {
		f()
	}
}

// end is a descriptor of the loop and its readiness. Its events are edge-triggered, so a flag stays until a call has shown that it
// is no longer true.
type end struct {
	fd       int
	readable bool
	writable bool
	hungUp   bool // there is an end of file, or an error, behind what can be read
	broken   bool // what is written is not read any more
}

func newEnd(fd int) *end {
	_ = unix.SetNonblock(fd, true)
	return &end{fd: fd, readable: true, writable: true}
}

func (e *end) note(events uint32) {
	e.broken = e.broken || events&eventsBroken != 0
	e.hungUp = e.hungUp || events&(unix.EPOLLRDHUP|eventsBroken) != 0
	e.readable = e.readable || e.hungUp || events&unix.EPOLLIN != 0
	e.writable = e.writable || events&(unix.EPOLLOUT|eventsBroken) != 0
}

// read returns what is there: 0 bytes when that is nothing, io.EOF or another error when nothing will come any more.
func (e *end) read(buffer []byte) (int, error) {
	n, err := retry(func() (int, error) { return transfer(unix.SYS_READ, e.fd, buffer) })
	switch {
	case err == unix.EAGAIN:
		e.readable = false
		return 0, nil
	case err != nil:
		e.readable = false
		return 0, err
	case n == 0:
		e.readable = false
		return 0, io.EOF
	}
	e.readable = n == len(buffer) || e.hungUp
	return n, nil
}

// write returns how much went out, which may be nothing; an error when nothing will go out any more.
func (e *end) write(data []byte) (int, error) {
	n, err := retry(func() (int, error) { return transfer(unix.SYS_WRITE, e.fd, data) })
	switch {
	case err == unix.EAGAIN:
		e.writable = false
		return 0, nil
	case err != nil:
		e.writable = false
		return 0, err
	}
	e.writable = n == len(data)
	return n, nil
}

func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

// transfer is a read or write that cannot block, so the scheduler needs no notice.
func transfer(trap uintptr, fd int, data []byte) (int, error) {
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
