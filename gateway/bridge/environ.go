package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// An envSource adds variables to the child's environment, in the order of the command line: a later one wins.
type envSource struct {
	name  string // variable, or the prefix of a directory's variables
	value string // literal value with $(VAR) references
	file  string // read the value from here
	dir   string // read a variable from each file in here
	need  string // this folder must not be empty; name is what it shows
}

func parseEnv(s string) (envSource, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return envSource{}, fmt.Errorf("%q: use NAME=VALUE or NAME=@FILE", s)
	}
	if literal, ok := strings.CutPrefix(value, "@@"); ok {
		return envSource{name: name, value: "@" + literal}, nil
	}
	if file, ok := strings.CutPrefix(value, "@"); ok {
		return envSource{name: name, file: file}, nil
	}
	return envSource{name: name, value: value}, nil
}

func parseEnvFromDir(s string) (envSource, error) {
	prefix, dir, ok := strings.Cut(s, "=")
	if !ok {
		prefix, dir = "", s
	}
	if dir == "" {
		return envSource{}, fmt.Errorf("%q: use DIR or PREFIX=DIR", s)
	}
	return envSource{name: prefix, dir: dir}, nil
}

func parseNeed(s string) (envSource, error) {
	name, dir, ok := strings.Cut(s, "=")
	if !ok || name == "" || dir == "" {
		return envSource{}, fmt.Errorf("%q: use NAME=DIR", s)
	}
	return envSource{name: name, need: dir}, nil
}

// environment is the child's variables in a stable order, and the references that could not be read.
type environment struct {
	names   []string
	values  map[string]string
	missing []string
	folders []string // files that the child itself reads: a change of them counts as a change of its variables
}

func (e *environment) set(name, value string) {
	if _, exists := e.values[name]; !exists {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) list() []string {
	out := make([]string, 0, len(e.names))
	for _, name := range e.names {
		out = append(out, name+"="+e.values[name])
	}
	return out
}

// buildEnvironment starts from base (NAME=VALUE lines) and applies the sources. Files are read each time: a mounted Secret or
// ConfigMap may have appeared or changed.
func buildEnvironment(base []string, sources []envSource, root string) *environment {
	e := &environment{values: map[string]string{}}
	for _, line := range base {
		if name, value, ok := strings.Cut(line, "="); ok {
			e.set(name, value)
		}
	}
	for _, s := range sources {
		switch {
		case s.need != "":
			e.addNeed(s)
		case s.dir != "":
			e.addDir(s, root)
		case s.file != "":
			e.addFile(s, root)
		default:
			e.set(s.name, expand(s.value, e.values))
		}
	}
	return e
}

func (e *environment) addFile(s envSource, root string) {
	content, err := os.ReadFile(resolve(root, s.file))
	if err != nil {
		e.missing = append(e.missing, describe(s.file, err))
		return
	}
	e.set(s.name, string(content))
}

func (e *environment) addDir(s envSource, root string) {
	present := readFolder(resolve(root, s.dir), func(name, content string) { e.set(s.name+name, content) })
	if !present {
		e.missing = append(e.missing, s.dir)
	}
}

func (e *environment) addNeed(s envSource) {
	present := readFolder(s.need, func(name, content string) { e.folders = append(e.folders, s.need+"/"+name+"="+content) })
	if !present {
		e.missing = append(e.missing, s.name)
	}
}

// readFolder takes the files of a mounted Secret or ConfigMap by name, and reports whether there is anything:
// an optional mount of something absent is an empty directory.
func readFolder(dir string, take func(name, content string)) bool {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil || len(entries) == 0 {
		return false
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") { // the kubelet's own ..data links
			continue
		}
		if content, err := os.ReadFile(filepath.Join(dir, entry.Name())); err == nil {
			take(entry.Name(), string(content))
		}
	}
	return true
}

func resolve(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

func describe(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return path
	}
	return fmt.Sprintf("%s (%v)", path, err)
}

// expand replaces $(NAME) by Kubernetes' rules: an unknown name stays as it is, $$ is one $.
// Source: k8s.io/api core/v1 EnvVar.value.
func expand(s string, values map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case '$':
			out.WriteByte('$')
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				out.WriteString("$(")
				continue
			}
			name := s[i+1 : i+end]
			if value, exists := values[name]; exists {
				out.WriteString(value)
			} else {
				out.WriteString("$(" + name + ")")
			}
			i += end
		default:
			out.WriteByte('$')
			out.WriteByte(s[i])
		}
	}
	return out.String()
}
