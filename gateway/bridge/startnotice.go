package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxPorts = 8 // of a process that starts, which are told

// startNotice is what is known of a process that has not written anything to its stdout yet.
type startNotice struct {
	Stderr string `json:"stderr,omitempty"` // its last line
	Ports  []int  `json:"ports,omitempty"`  // TCP ports on which it listens: it may serve HTTP in place of stdio
}

// startNotices are the times after a start at which a silent process is looked at; at the last one it is forgotten.
var startNotices = []time.Duration{
	2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 45 * time.Second, 90 * time.Second, 5 * time.Minute,
}

// watchStart tells the watchers what a silent process does, until it writes something or ends.
func (s *server) watchStart(p *process, wrote func() bool) {
	defer s.tellStart(nil)
	for number, after := range startNotices {
		select {
		case <-p.done:
			return
		case <-time.After(time.Until(p.began.Add(after))):
		}
		if wrote() || number == len(startNotices)-1 {
			return
		}
		s.tellStart(&startNotice{Stderr: p.tail.last(), Ports: listeningPorts(p.pid)})
	}
}

func (s *server) tellStart(notice *startNotice) {
	if before, _ := s.state.read(); before.Starting == nil && notice == nil {
		return
	}
	s.state.update(func(st *state) { st.Starting = notice })
}

// listeningPorts are the TCP ports on which the processes of a group listen.
func listeningPorts(group int) []int {
	sockets := map[string]int{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		addListening(sockets, table)
	}
	var ports []int
	if len(sockets) == 0 {
		return ports
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		if groupOf(stat) != group {
			continue
		}
		links, _ := filepath.Glob(filepath.Join(filepath.Dir(stat), "fd", "*"))
		for _, link := range links {
			target, _ := os.Readlink(link)
			if port := sockets[target]; port != 0 && !slices.Contains(ports, port) && len(ports) < maxPorts {
				ports = append(ports, port)
			}
		}
	}
	slices.Sort(ports)
	return ports
}

// addListening adds the listening sockets of a table of proc_pid_net(5): the name that a descriptor's link has, and the port.
func addListening(sockets map[string]int, table string) {
	file, err := os.Open(table)
	if err != nil {
		return
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		_, digits, _ := strings.Cut(fields[1], ":")
		if port, err := strconv.ParseUint(digits, 16, 16); err == nil {
			sockets[fmt.Sprintf("socket:[%s]", fields[9])] = int(port)
		}
	}
}

// groupOf is the process group in a file /proc/PID/stat: the third field behind the name, which is in parentheses.
func groupOf(stat string) int {
	content, _ := os.ReadFile(stat)
	_, rest, _ := strings.Cut(string(content[max(0, strings.LastIndexByte(string(content), ')')):]), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 3 {
		return 0
	}
	group, _ := strconv.Atoi(fields[2])
	return group
}
