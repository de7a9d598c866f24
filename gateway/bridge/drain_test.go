package main

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 10 * time.Second

func within(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatalf("not within %s: %s", patience, what)
	}
}

func TestDrainWaitsForProcessesThatAreStarting(t *testing.T) {
	loop, err := newLoop()
	must(t, err)
	s := &server{
		state: newStateStore(), reaper: &reaper{}, loop: loop, draining: make(chan struct{}), deadline: make(chan struct{}),
	}
	drained := make(chan struct{})
	s.pendingReports.Add(1)
	go func() {
		s.drain(nil)
		close(drained)
	}()
	within(t, "the deadline, by which a process that starts now will be ended", s.deadline)
	select {
	case <-drained:
		t.Fatal("it did not wait for the start")
	default:
	}
	s.pendingReports.Add(-1)
	within(t, "the end", drained)
}

// A program has one bridge at most: its reaper reaps all children.
var late = sync.OnceValue(func() *server {
	o := defaults()
	o.command = []string{"cat"}
	s, err := newServer(o, newLogger(os.Stderr))
	if err != nil {
		panic(err)
	}
	close(s.deadline)
	return s
})

func TestASessionThatBeginsAfterTheDeadlineEndsAtOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	defer client.Close()
	accepted, err := listener.Accept()
	must(t, err)
	go late().attach(accepted.(stream), greeting{Mode: "attach", Session: "late", Tag: "late"})
	must(t, client.SetReadDeadline(time.Now().Add(patience)))
	var last exitNotice
	for lines := bufio.NewScanner(client); lines.Scan(); {
		if line, ours := strings.CutPrefix(lines.Text(), magic); ours {
			must(t, json.Unmarshal([]byte(line), &last))
		}
	}
	if last.Exit.Ended != "drain" {
		t.Fatalf("no exit report with the cause: %+v", last)
	}
}
