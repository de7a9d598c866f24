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
)

// stream is a TCP connection, or the plain end of one that came over TLS.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

const firstByteTimeout = 10 * time.Second

var openingBuffers = sync.Pool{New: func() any { b := make([]byte, maxGreeting); return &b }}

var (
	errClosedEarly     = errors.New("closed before its first line was complete")
	errGreetingTooLong = fmt.Errorf("a greeting of over %d bytes", maxGreeting)
)

// opening waits for a connection's first bytes. Those of a raw one stay where they are, for the child; a greeting is consumed.
// A connection that waits holds no buffer.
func opening(conn stream) (kind verdict, line []byte, err error) {
	rc, err := conn.SyscallConn()
	if err != nil {
		return undecided, nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(firstByteTimeout))
	var failure error
	seen := 0
	err = rc.Read(func(fd uintptr) bool {
		buffer := openingBuffers.Get().(*[]byte)
		defer openingBuffers.Put(buffer)
		n, _, again := syscall.Recvfrom(int(fd), *buffer, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if again == syscall.EAGAIN || again == syscall.EINTR {
			return false
		}
		if again != nil || n == 0 {
			failure = errClosedEarly
			return true
		}
		if n == seen { // nothing new; an end of file cannot be told from it, but the deadline comes
			return false
		}
		seen = n
		kind, line, failure = judge((*buffer)[:n])
		return kind != undecided || failure != nil
	})
	if err == nil {
		err = failure
	}
	if err == nil && kind == greeted {
		_, err = io.CopyN(io.Discard, conn, int64(len(line))+1)
	}
	_ = conn.SetReadDeadline(time.Time{})
	return kind, line, err
}

// judge says what a connection is once its first bytes tell.
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
