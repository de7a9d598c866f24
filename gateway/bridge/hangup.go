package main

import (
	"sync"
	"syscall"
)

// hangups tells when the peer of a handed-over socket has sent its FIN. The runtime's own poller cannot be used: it would wake
// the bridge for every message that the child reads, and the point of the hand-over is that the bridge costs nothing.
type hangups struct {
	epoll   int
	mu      sync.Mutex
	waiting map[int32]chan struct{}
}

const edgeTriggered = 1 << 31

func newHangups() (*hangups, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	h := &hangups{epoll: fd, waiting: map[int32]chan struct{}{}}
	go h.loop()
	return h, nil
}

// add returns a channel that closes at the peer's FIN or reset. remove must be called before fd is closed.
func (h *hangups) add(fd int) (<-chan struct{}, error) {
	c := make(chan struct{})
	h.mu.Lock()
	defer h.mu.Unlock()
	event := syscall.EpollEvent{Events: syscall.EPOLLRDHUP | edgeTriggered, Fd: int32(fd)}
	if err := syscall.EpollCtl(h.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		return nil, err
	}
	h.waiting[int32(fd)] = c
	return c, nil
}

func (h *hangups) remove(fd int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, int32(fd))
	_ = syscall.EpollCtl(h.epoll, syscall.EPOLL_CTL_DEL, fd, nil)
}

func (h *hangups) loop() {
	events := make([]syscall.EpollEvent, 64)
	for {
		n, err := syscall.EpollWait(h.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			panic(err) // the descriptor is ours and open: nothing else can go wrong
		}
		h.mu.Lock()
		for i := range max(n, 0) {
			if c := h.waiting[events[i].Fd]; c != nil {
				delete(h.waiting, events[i].Fd)
				close(c)
			}
		}
		h.mu.Unlock()
	}
}
