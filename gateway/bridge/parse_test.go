package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestExpandFollowsKubernetes(t *testing.T) {
	values := map[string]string{"A": "1", "B": "$(A)"}
	for in, want := range map[string]string{
		"$(A)": "1", "$$(A)": "$(A)", "$(NONE)": "$(NONE)", "$A": "$A", "$": "$", "$(A": "$(A", "$$$$": "$$", "x$(B)y": "x$(A)y", "$(": "$(",
	} {
		if got := expand(in, values); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("$(A)$$(A)$(")
	f.Fuzz(func(t *testing.T, s string) {
		got := expand(s, nil)
		if !strings.Contains(s, "$") && got != s {
			t.Fatalf("%q became %q", s, got)
		}
		if len(got) > len(s) {
			t.Fatalf("%q grew to %q", s, got)
		}
	})
}

func TestCgroupFolders(t *testing.T) {
	for in, want := range map[string][]string{
		"0::/kubepods/pod1\n":             {"/sys/fs/cgroup/kubepods/pod1", "/sys/fs/cgroup"},
		"0::/\n":                          {"/sys/fs/cgroup", "/sys/fs/cgroup"},
		"9:cpu,cpuacct:/a\n5:memory:/b\n": {"/sys/fs/cgroup/memory/b", "/sys/fs/cgroup/memory"},
		"nonsense":                        nil,
	} {
		if got := cgroupFolders(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestLoadIsTheWorkingSet(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		return filepath.Join(dir, name)
	}
	c := cgroup{write("memory.max", "1000\n"), write("memory.current", "700\n"), "inactive_file", write("memory.events", "oom 3\noom_kill 2\n")}
	write("memory.stat", "anon 5\ninactive_file 100\n")
	if used, limit := c.load(); used != 600 || limit != 1000 || c.oomKills() != 2 {
		t.Fatal(used, limit, c.oomKills())
	}
	for _, none := range []string{"max\n", "9223372036854771712\n"} {
		write("memory.max", none)
		if _, limit := c.load(); limit != 0 {
			t.Fatal(limit)
		}
	}
	if used, limit := (cgroup{}).load(); used != 0 || limit != 0 {
		t.Fatal("a machine without cgroups")
	}
}

func TestParseStatSurvivesAnyCommandName(t *testing.T) {
	stat := "7 (a) b) (c) S 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 100 77 0"
	if group, rss, ok := parseStat([]byte(stat)); group != 42 || rss != 77 || !ok {
		t.Fatal(group, rss, ok)
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S 1"} {
		if _, _, ok := parseStat([]byte(bad)); ok {
			t.Fatal(bad)
		}
	}
}

func TestEachProcessHasItsOwnShareOfTheLog(t *testing.T) {
	var limit lineLimit
	for range maxLinesPerSecond {
		if allowed, _ := limit.allow(start); !allowed {
			t.Fatal("refused early")
		}
	}
	if allowed, _ := limit.allow(start); allowed {
		t.Fatal("no limit")
	}
	if allowed, dropped := limit.allow(start.Add(time.Second)); !allowed || dropped != 1 {
		t.Fatal(allowed, dropped)
	}
}

func TestTokensAreCompared(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	must(t, os.WriteFile(file, []byte("old\n\n new \n"), 0o600))
	a := access{tokenFile: file}
	for token, reason := range map[string]string{"old": "", "new": "", "": "TokenMissing", "ol": "TokenWrong", "olds": "TokenWrong", "tökén": "TokenWrong"} {
		got := ""
		if r := a.admits(token); r != nil {
			got = r.Reason
		}
		if got != reason {
			t.Errorf("%q: %q, want %q", token, got, reason)
		}
	}
	must(t, os.WriteFile(file, nil, 0o600))
	if a.admits("") == nil || a.check() == nil {
		t.Error("an empty file admits")
	}
}
