package testkit

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Postgres is a server that this process started, on loopback, trusting local
// connections.
type Postgres struct {
	PID  int // of the postmaster
	port int
	dir  string
	stop func()
}

// URL returns the address of one of its databases.
func (p *Postgres) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)),
		Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Stop ends the server and removes its files.
func (p *Postgres) Stop() { p.stop() }

// StartPostgres makes a cluster in a temporary directory and starts it with
// extra server arguments. It fails when no PostgreSQL binaries are found.
func StartPostgres(args ...string) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "signet-pg-")
	if err != nil {
		return nil, err
	}
	p, err := startPostgres(bin, dir, args)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func startPostgres(bin, dir string, args []string) (*Postgres, error) {
	attr, err := ordinaryUser(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args = append([]string{"-D", data, "-p", strconv.Itoa(port), "-k", dir, "-c", "listen_addresses=127.0.0.1",
		"-c", "max_connections=200", "-c", "log_min_messages=warning"}, args...)
	cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
	cmd.Dir = dir
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	// SIGINT is PostgreSQL's fast shutdown: it also comes when this process dies.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential, Pdeathsig: syscall.SIGINT}
	exited := make(chan struct{})
	started := make(chan error, 1)
	go func() {
		defer close(exited)
		runtime.LockOSThread() // Pdeathsig follows the thread that starts the child
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	p := &Postgres{PID: cmd.Process.Pid, port: port, dir: dir}
	p.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-exited
		_ = log.Close()
		_ = os.RemoveAll(dir)
	}
	return p, p.wait(exited)
}

func (p *Postgres) wait(exited <-chan struct{}) error {
	for range 300 {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)))
		if err == nil {
			_ = c.Close()
			if ready(p.dir) {
				return nil
			}
		}
		select {
		case <-exited:
			out, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			return fmt.Errorf("postgres ended: %s", out)
		case <-time.After(20 * time.Millisecond):
		}
	}
	p.stop()
	return errors.New("postgres did not come up in 6 s")
}

// ready looks for the status line of postmaster.pid.
func ready(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	return err == nil && strings.Contains(string(b), "\nready")
}

func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err == nil && len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("no PostgreSQL binaries found (apt-get install postgresql-15)")
}

// ordinaryUser returns the credentials to run PostgreSQL with: it refuses to run
// as root.
func ordinaryUser(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("user postgres: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// NewDatabase makes an empty database.
func (p *Postgres) NewDatabase(name string) error {
	admin, err := sql.Open("pgx", p.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = admin.Exec("CREATE DATABASE " + name)
	return errors.Join(err, admin.Close())
}
