package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	guardRatio  = 0.9 // of the container's limit
	watchRatio  = 0.5 // above it the guard checks often
	guardRarely = 500 * time.Millisecond
	guardOften  = 100 * time.Millisecond
	guardWait   = time.Second // for a killed group to return its memory
)

// cgroup is where a container's memory is accounted: version 1 or 2, with or without a namespace of its own.
// Source: the kernel's admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
type cgroup struct{ limit, usage, inactive, events string }

const cgroupRoot = "/sys/fs/cgroup"

// findCgroup returns the zero value where there is none; all its answers are 0 then.
func findCgroup() cgroup {
	content, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return cgroup{}
	}
	for _, dir := range cgroupFolders(string(content)) {
		for _, c := range []cgroup{
			{dir + "/memory.max", dir + "/memory.current", "inactive_file", dir + "/memory.events"},
			{dir + "/memory.limit_in_bytes", dir + "/memory.usage_in_bytes", "total_inactive_file", dir + "/memory.oom_control"},
		} {
			if _, err := os.Stat(c.limit); err == nil {
				return c
			}
		}
	}
	return cgroup{}
}

// cgroupFolders lists where this process's memory files may be, the most exact place first. Without a cgroup namespace the path
// in /proc is the host's, while the container sees its own folder as the root.
func cgroupFolders(procSelfCgroup string) []string {
	var folders []string
	for line := range strings.Lines(procSelfCgroup) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[1] == "":
			folders = append(folders, filepath.Join(cgroupRoot, fields[2]), cgroupRoot)
		case strings.Contains(","+fields[1]+",", ",memory,"):
			folders = append(folders, filepath.Join(cgroupRoot, "memory", fields[2]), filepath.Join(cgroupRoot, "memory"))
		}
	}
	return folders
}

// load is the working set, as the kubelet counts it, and the limit; 0 for no limit.
func (c cgroup) load() (used, limit uint64) {
	limit = readNumber(c.limit)
	if limit == 0 || limit > 1<<60 { // version 1 has a huge number for none
		return 0, 0
	}
	used = readNumber(c.usage)
	cache := readField(filepath.Join(filepath.Dir(c.limit), "memory.stat"), c.inactive)
	return used - min(cache, used), limit
}

// oomKills counts the processes of this container that the kernel has killed for memory.
func (c cgroup) oomKills() uint64 { return readField(c.events, "oom_kill") }

func readNumber(path string) uint64 {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(content)), 10, 64)
	if err != nil { // "max"
		return 0
	}
	return n
}

func readField(path, name string) uint64 {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}

// guardMemory kills the largest process group before the kernel kills the container, and with it the bridge and every session.
func (s *server) guardMemory() {
	for {
		used, limit := s.memory.load()
		if limit == 0 || float64(used) < watchRatio*float64(limit) {
			time.Sleep(guardRarely)
			continue
		}
		if float64(used) >= guardRatio*float64(limit) {
			s.killLargest(used, limit)
		}
		time.Sleep(guardOften)
	}
}

func (s *server) killLargest(used, limit uint64) {
	pages := groupPages()
	var largest *process
	for _, p := range s.reaper.all() {
		if largest == nil || pages[p.pid] > pages[largest.pid] {
			largest = p
		}
	}
	if largest == nil {
		return
	}
	size := pages[largest.pid] * uint64(os.Getpagesize())
	s.log.printf("memory guard: %d of %d MiB used; killing the largest process, %s, with %d MiB",
		used>>20, limit>>20, largest.tail.label(largest.pid), size>>20)
	largest.killForMemory()
	select {
	case <-largest.done:
	case <-time.After(guardWait):
	}
}

// groupPages is the resident memory of each process group that can be seen, in pages.
func groupPages() map[int]uint64 {
	pages := map[int]uint64{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if content, err := os.ReadFile(path); err == nil {
			if group, rss, ok := parseStat(content); ok {
				pages[group] += rss
			}
		}
	}
	return pages
}

// parseStat reads proc(5) stat: pgrp is field 5, rss is field 24; the command in field 2 may contain anything.
func parseStat(stat []byte) (group int, rss uint64, ok bool) {
	rest := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(rest) < 22 {
		return 0, 0, false
	}
	group, err := strconv.Atoi(string(rest[2]))
	if err != nil {
		return 0, 0, false
	}
	rss, err = strconv.ParseUint(string(rest[21]), 10, 64)
	return group, rss, err == nil
}
