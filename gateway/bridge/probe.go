package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// runProbe needs no curl in the image: exit 0 when ADDR's /readyz answers 200.
func runProbe(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "mcp-bridge probe: exactly 1 ADDR is required, for example 127.0.0.1:9444")
		return exitUsage
	}
	conn, err := net.DialTimeout("tcp", args[0], 3*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcp-bridge probe:", err)
		return 1
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	_, _ = fmt.Fprintf(conn, "GET /readyz HTTP/1.1\r\nHost: %s\r\n\r\n", args[0])
	answer, err := io.ReadAll(io.LimitReader(conn, 4096))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcp-bridge probe:", err)
		return 1
	}
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	fields := strings.Fields(head)
	fmt.Print(body)
	if len(fields) > 1 && fields[1] == strconv.Itoa(200) {
		return 0
	}
	return 1
}
