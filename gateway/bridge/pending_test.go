package main

import (
	"io"
	"net"
	"testing"
)

func TestAtTheMaximumANewConnectionClosesTheOldest(t *testing.T) {
	p := newPending(2)
	var removes []func() bool
	var clients []net.Conn
	evictions := 0
	for range 4 {
		client, server := net.Pipe()
		clients = append(clients, client)
		remove, evicted := p.add(server)
		if evicted {
			evictions++
		}
		removes = append(removes, remove)
	}
	if evictions != 2 {
		t.Fatalf("%d evictions", evictions)
	}
	for i, remove := range removes {
		if remained := remove(); remained != (i >= 2) {
			t.Fatalf("connection %d remained: %v", i, remained)
		}
		if remove() {
			t.Fatalf("connection %d removed twice", i)
		}
	}
	for _, client := range clients[:2] {
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("not closed: %v", err)
		}
	}
	if p.conns.Len() != 0 {
		t.Fatal("something is left")
	}
}
