package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// npm installs a package of the npm registry. Sources: npm-install(1), npm-ci(1), package-lock-json(5).
type npm struct {
	client
}

// The kubelet tries again: a registry that does not answer is reported within seconds.
var npmQuiet = []string{
	"--no-audit", "--no-fund", "--no-progress", "--loglevel=error", "--update-notifier=false",
	"--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000",
}

func newNpm(p packageInstall, work string) (packageManager, error) {
	env := []string{"npm_config_cache=" + filepath.Join(work, "cache")}
	if p.registry != (registry{}) {
		settings := filepath.Join(work, "npmrc")
		if err := os.WriteFile(settings, []byte(p.registry.npmSettings()), 0o600); err != nil {
			return nil, err
		}
		env = append(env, "npm_config_userconfig="+settings)
	}
	if ca := p.registry.authority(); ca != "" {
		env = append(env, "NODE_EXTRA_CA_CERTS="+ca)
	}
	described, err := json.Marshal(map[string]any{"private": true, "dependencies": map[string]string{p.npm: p.version}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(p.dir, "package.json"), described, 0o644); err != nil {
		return nil, err
	}
	return npm{client{dir: p.dir, env: clientEnvironment(work, env...), p: p}}, nil
}

func (n npm) lock() ([]lockedPackage, error) {
	if err := n.npm("install", "--package-lock-only", "--ignore-scripts"); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(n.dir, "package-lock.json"))
	if err != nil {
		return nil, err
	}
	return parseNpmLock(content)
}

func (n npm) npm(command ...string) error {
	return n.run("", append(append([]string{"npm"}, command...), npmQuiet...)...)
}

// parseNpmLock reads a lock file of npm 7 or newer. What is part of another package has no digest of its own.
func parseNpmLock(content []byte) ([]lockedPackage, error) {
	var lock struct {
		Packages map[string]struct {
			Version, Integrity string
			InBundle, Link     bool
		}
	}
	if err := json.Unmarshal(content, &lock); err != nil {
		return nil, fmt.Errorf("package-lock.json: %w", err)
	}
	var out []lockedPackage
	for place, p := range lock.Packages {
		if place != "" && !p.InBundle {
			out = append(out, lockedPackage{place, p.Version, p.Integrity})
		}
	}
	return out, nil
}

func (n npm) install() error {
	if n.p.scripts {
		return n.npm("ci", "--omit=dev", "--foreground-scripts")
	}
	return n.npm("ci", "--omit=dev", "--ignore-scripts")
}

func (n npm) program() (string, error) {
	content, err := os.ReadFile(filepath.Join(n.dir, "node_modules", filepath.FromSlash(n.p.npm), "package.json"))
	if err != nil {
		return "", err
	}
	programs, err := npmPrograms(content, path.Base(n.p.npm))
	if err != nil {
		return "", err
	}
	name, err := chooseProgram(n.p.packageSource, programs)
	return filepath.Join(n.dir, "node_modules", ".bin", name), err
}

// npmPrograms are the names of a package's commands; a single script is named as the package. Source: package-json(5), bin.
func npmPrograms(described []byte, name string) ([]string, error) {
	var fields struct{ Bin json.RawMessage }
	if err := json.Unmarshal(described, &fields); err != nil {
		return nil, fmt.Errorf("package.json: %w", err)
	}
	var several map[string]string
	if json.Unmarshal(fields.Bin, &several) == nil {
		names := slices.Sorted(maps.Keys(several))
		for i := range names {
			names[i] = path.Base(names[i]) // npm links a scoped name by its last part
		}
		return names, nil
	}
	var single string
	if json.Unmarshal(fields.Bin, &single) == nil && single != "" {
		return []string{name}, nil
	}
	return nil, nil
}

// chooseProgram is the command that npx and uvx run: the only one, else the one that is named as the package.
func chooseProgram(p packageSource, programs []string) (string, error) {
	wanted := p.bin
	if wanted == "" && len(programs) == 1 {
		return programs[0], nil
	}
	if wanted == "" {
		wanted = path.Base(p.name())
	}
	if slices.Contains(programs, wanted) {
		return wanted, nil
	}
	if len(programs) == 0 {
		return "", &installFailure{"ProgramNotFound", p.label() + " has no program to run: it is a library, or needs another package"}
	}
	return "", &installFailure{"ProgramNotFound", fmt.Sprintf("%s has no program %q: set package.bin to one of %s", p.label(), wanted, strings.Join(programs, ", "))}
}
