package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a TCP connection, or the plain end of a TLS connection.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// greetingTimeout is how long a connection may take until it is classified and authenticated, TLS included.
const greetingTimeout = 10 * time.Second

var sniffBuffers = sync.Pool{New: func() any { b := make([]byte, maxGreeting); return &b }}

var (
	errClosedEarly     = errors.New("closed before its first line was complete")
	errGreetingTooLong = fmt.Errorf("a greeting of over %d bytes", maxGreeting)
)

// sniff waits for a connection's first bytes. Those of a raw one stay where they are, for the child; a greeting is consumed.
// A connection that waits holds no buffer. Its deadline is the caller's.
func sniff(conn stream) (kind verdict, line []byte, err error) {
	rc, err := conn.SyscallConn()
	if err != nil {
		return undecided, nil, err
	}
	var failure error
	err = rc.Read(func(fd uintptr) bool {
		buffer := sniffBuffers.Get().(*[]byte)
		defer sniffBuffers.Put(buffer)
		for seen := 0; ; {
			n, _, again := unix.Recvfrom(int(fd), *buffer, unix.MSG_PEEK|unix.MSG_DONTWAIT)
			if again == unix.EAGAIN || again == unix.EINTR {
				return false
			}
			if again != nil || n == 0 || n == seen { // seen all of it before: the end of file is behind it
				failure = errClosedEarly
				return true
			}
			kind, line, failure = judge((*buffer)[:n])
			if kind != undecided || failure != nil {
				return true
			}
			if !hasHungUp(int(fd)) {
				return false
			}
			seen = n
		}
	})
	if err == nil {
		err = failure
	}
	if err == nil && kind == greeted {
		_, err = io.CopyN(io.Discard, conn, int64(len(line))+1)
	}
	return kind, line, err
}

// hasHungUp reports whether the peer has sent its FIN, which cannot be seen behind unread bytes otherwise.
func hasHungUp(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0
}

// judge classifies a connection once its first bytes suffice.
func judge(first []byte) (verdict, []byte, error) {
	if classify(first) != greeted {
		return classify(first), nil, nil
	}
	if end := bytes.IndexByte(first, '\n'); end >= 0 {
		return greeted, bytes.Clone(first[:end]), nil
	}
	if len(first) >= maxGreeting {
		return undecided, nil, errGreetingTooLong
	}
	return undecided, nil, nil
}
