package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// A packageSource is what is to be installed: a package of a registry, with an exact version.
type packageSource struct {
	npm, pypi    string // its name in one of them
	version      string
	extras       []string // PyPI
	requirements []string // PyPI: further ones
	python       string   // PyPI: its version; empty: the first on PATH
	bin          string   // the program; empty: the only one, or the one that is named as the package
	scripts      bool     // whether the package's own programs may run during the installation
}

func (p packageSource) name() string { return p.npm + p.pypi }

// label is how messages name it.
func (p packageSource) label() string {
	if p.npm != "" {
		return "npm package " + p.npm + "@" + p.version
	}
	return "PyPI package " + p.pypi + "==" + p.version
}

// packageInstall is the settings of `package`.
type packageInstall struct {
	packageSource
	registry  registry
	integrity []string // what is accepted; empty: everything
	result    string   // file for the outcome
	dir       string
}

// installedPackage is what an installation leaves beside the files: its presence says that the installation is whole.
type installedPackage struct {
	Command   string `json:"command"`
	Integrity string `json:"integrity"`
}

const (
	packageRecord = "installed.json"
	packageWork   = ".work" // caches and settings of the package managers, for the time of the installation
)

func parsePackage(args []string) (packageInstall, error) {
	var p packageInstall
	flags := flag.NewFlagSet("package", flag.ContinueOnError)
	flags.StringVar(&p.npm, "npm", "", "`NAME` of a package of the npm registry")
	flags.StringVar(&p.pypi, "pypi", "", "`NAME` of a package of PyPI")
	flags.StringVar(&p.version, "version", "", "its exact `VERSION`")
	flags.Func("extra", "`NAME` of an extra of a PyPI package; may be repeated", appendTo(&p.extras))
	flags.Func("with", "further `REQUIREMENT` of a PyPI package; may be repeated", appendTo(&p.requirements))
	flags.StringVar(&p.python, "python", "", "`VERSION` of Python")
	flags.StringVar(&p.bin, "bin", "", "`NAME` of the package's program; needed if it has several")
	flags.BoolVar(&p.scripts, "allow-install-scripts", false, "let programs of the packages run during the installation, and build from source")
	flags.StringVar(&p.registry.url, "registry", "", "`URL` of the registry or its mirror; empty: the package manager's own setting")
	flags.StringVar(&p.registry.credentials, "credentials", "", "`DIR` with the files username and password, or token")
	flags.StringVar(&p.registry.ca, "ca", "", "`FILE` with the certificate authorities of the registry")
	flags.Func("integrity", "accepted `DIGEST` of all that is installed; may be repeated", appendTo(&p.integrity))
	flags.StringVar(&p.result, "result", "", "`FILE` for one line with the outcome")
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	if err := p.validate(flags.NArg()); err != nil {
		return p, err
	}
	p.dir = flags.Arg(0)
	return p, absolute(&p.dir, &p.registry.credentials, &p.registry.ca)
}

// absolute makes paths absolute, since the clients run in a folder of their own, and the programs have their paths in them.
func absolute(paths ...*string) error {
	for _, path := range paths {
		if *path == "" {
			continue
		}
		full, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = full
	}
	return nil
}

func appendTo(list *[]string) func(string) error {
	return func(value string) error {
		*list = append(*list, value)
		return nil
	}
}

func (p packageInstall) validate(arguments int) error {
	switch {
	case arguments != 1:
		return errors.New("exactly 1 DIR is required")
	case (p.npm == "") == (p.pypi == ""):
		return errors.New("exactly one of --npm and --pypi is required")
	case p.version == "":
		return errors.New("--version is required")
	}
	return nil
}

// runPackage installs a package into a folder of its own, once: a later start needs no registry.
func runPackage(args []string) int {
	runtime.LockOSThread() // its children end with this thread
	p, err := parsePackage(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcp-bridge package:", err)
		return exitUsage
	}
	record, err := p.ensure()
	if err != nil {
		failure := installFailureOf(err)
		p.report(failure.Reason + ": " + failure.Message)
		fmt.Fprintf(os.Stderr, "%s: %s\n", failure.Reason, failure.Message)
		return 1
	}
	p.report(record.Integrity)
	return 0
}

// report leaves the outcome where the kubelet reads it.
func (p packageInstall) report(outcome string) {
	if p.result != "" {
		_ = os.WriteFile(p.result, []byte(outcome), 0o644)
	}
}

// ensure installs the package unless that has been done. Pods that share the folder wait for one another.
func (p packageInstall) ensure() (installedPackage, error) {
	if record, err := readInstalled(p.dir); err == nil {
		return record, p.accept(record.Integrity)
	}
	unlock, err := lockFolder(p.dir)
	if err != nil {
		return installedPackage{}, err
	}
	defer unlock()
	if record, err := readInstalled(p.dir); err == nil {
		return record, p.accept(record.Integrity)
	}
	return p.install()
}

func (p packageInstall) install() (installedPackage, error) {
	fmt.Printf("installing %s\n", p.label())
	if err := emptyFolder(p.dir); err != nil {
		return installedPackage{}, err
	}
	work := filepath.Join(p.dir, packageWork)
	defer os.RemoveAll(work)
	if err := os.Mkdir(work, 0o700); err != nil {
		return installedPackage{}, err
	}
	manager, err := newManager(p, work)
	if err != nil {
		return installedPackage{}, err
	}
	record, err := p.installWith(manager)
	if err != nil {
		_ = emptyFolder(p.dir) // room for the next attempt
		return installedPackage{}, err
	}
	return record, writeInstalled(p.dir, record)
}

// installWith runs nothing of the package before its integrity is accepted.
func (p packageInstall) installWith(manager packageManager) (installedPackage, error) {
	locked, err := manager.lock()
	if err != nil {
		return installedPackage{}, err
	}
	integrity, err := integrityOf(locked)
	if err != nil {
		return installedPackage{}, err
	}
	if err := p.accept(integrity); err != nil {
		return installedPackage{}, err
	}
	if err := manager.install(); err != nil {
		return installedPackage{}, err
	}
	command, err := manager.program()
	return installedPackage{Command: command, Integrity: integrity}, err
}

func (p packageInstall) accept(integrity string) error {
	if len(p.integrity) == 0 || slices.Contains(p.integrity, integrity) {
		return nil
	}
	return &installFailure{"PackageChanged", fmt.Sprintf("%s with all that it needs has the integrity %s, and %s is approved: if "+
		"the change is wanted, approve it in the annotation", p.label(), integrity, strings.Join(p.integrity, ", "))}
}

// readInstalled is the record of a whole installation. One whose program has gone, for example with another runner image, is none.
func readInstalled(dir string) (installedPackage, error) {
	var record installedPackage
	content, err := os.ReadFile(filepath.Join(dir, packageRecord))
	if err != nil {
		return record, err
	}
	if err := json.Unmarshal(content, &record); err != nil {
		return record, err
	}
	if _, err := os.Stat(record.Command); err != nil {
		return record, err
	}
	if _, err := os.Lstat(filepath.Join(dir, pythonProgram)); err == nil {
		_, err = os.Stat(filepath.Join(dir, pythonProgram))
		return record, err
	}
	return record, nil
}

func writeInstalled(dir string, record installedPackage) error {
	content, err := json.Marshal(record)
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, packageRecord+".new")
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, packageRecord))
}

func emptyFolder(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// lockFolder waits for the others that install into it. The lock goes with this process.
func lockFolder(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}
