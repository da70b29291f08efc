package city

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc"
)

// Addresses are where a city listens, each host:port. Port 0 picks one.
type Addresses struct{ HTTPS, HTTP, MTLS, Debug string }

// Listeners are open sockets. Apps are those of the demo's relying parties.
type Listeners struct {
	HTTPS, HTTP, MTLS, Debug net.Listener
	Apps                     []net.Listener
}

// Listen opens the sockets. It fails if the debug one is not on loopback.
func Listen(a Addresses) (*Listeners, error) {
	if host, _, err := net.SplitHostPort(a.Debug); err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, fault.New(fault.Invalid, "the debug listener belongs on a loopback address")
	}
	var l Listeners
	for _, one := range []struct {
		address string
		to      *net.Listener
	}{{a.HTTPS, &l.HTTPS}, {a.HTTP, &l.HTTP}, {a.MTLS, &l.MTLS}, {a.Debug, &l.Debug}} {
		socket, err := net.Listen("tcp", one.address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen on %s: %w", one.address, err), l.Close())
		}
		*one.to = socket
	}
	return &l, nil
}

// Close closes the sockets.
func (l *Listeners) Close() error {
	var errs []error
	for _, s := range append([]net.Listener{l.HTTPS, l.HTTP, l.MTLS, l.Debug}, l.Apps...) {
		if s != nil {
			if err := s.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Port returns the port of a socket.
func Port(s net.Listener) int { return s.Addr().(*net.TCPAddr).Port }

// drain is how long requests under way may take after the end was asked for.
const drain = 20 * time.Second

// ServeOptions are the optional settings of Serve.
type ServeOptions struct {
	CertFile, KeyFile string         // a public TLS certificate; "" means one of the city's own
	Level             *slog.LevelVar // what the debug listener sets; nil for none
	Ready             func() error   // called once every listener serves; nil for none
}

// Serve serves the city and does its work until ctx ends, then lets requests
// under way finish. The plain listener serves every address when the issuer is
// plain http, else only what is signed in itself.
func (c *City) Serve(ctx context.Context, l *Listeners, o ServeOptions) error {
	public := c.dress(c.Handler())
	plain := public
	if strings.HasPrefix(c.Issuer, "https:") {
		plain = c.dress(c.plainHandler())
	}
	certificate, err := c.certificates(ctx, o)
	if err != nil {
		return err
	}
	if o.Level == nil {
		o.Level = new(slog.LevelVar)
	}
	if o.Ready != nil { // certificates name CRLs: the first of each is there before anybody looks
		if err := c.CA.PublishCRLs(ctx); err != nil {
			return fmt.Errorf("serve: %w", err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Work(ctx) })
	c.listen(ctx, g, l.HTTPS, public, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate})
	c.listen(ctx, g, l.HTTP, plain, nil)
	c.listen(ctx, g, l.MTLS, public, c.mutual(certificate))
	c.listen(ctx, g, l.Debug, obs.DebugHandler(c.metrics, o.Level), nil)
	for i, app := range c.apps {
		c.listen(ctx, g, l.Apps[i], web.Protect(app, c.bodyBytes, nil), nil)
	}
	if o.Ready != nil {
		if err := c.Trust.Publish(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serve: %w", err)
		}
		if err := o.Ready(); err != nil {
			return err
		}
	}
	return g.Wait()
}

// dress adds what every public request goes through.
func (c *City) dress(h http.Handler) http.Handler {
	return obs.Middleware(c.log, c.metrics, c.refuseNoText(web.Protect(c.CA.KeepSlashes(h), c.bodyBytes, c.Site.Stranger(), oidc.Foreign()...)))
}

// refuseNoText refuses an address that is no text: databases differ in whether
// they can be asked about it.
func (c *City) refuseNoText(next http.Handler) http.Handler {
	return web.Handler(func(w http.ResponseWriter, r *http.Request) error {
		query, err := url.QueryUnescape(r.URL.RawQuery)
		if text := r.URL.Path + "?" + query; err != nil || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return fault.New(fault.Invalid, "the address is not text in UTF-8")
		}
		next.ServeHTTP(w, r)
		return nil
	}, c.log)
}

// plainHandler serves what certificates name by plain http, and nothing that
// takes a token.
func (c *City) plainHandler() http.Handler {
	mux := http.NewServeMux()
	c.Health.Mount(mux)
	c.CA.MountPublic(mux)
	return mux
}

// listen serves h on a socket until ctx ends.
func (c *City) listen(ctx context.Context, g *errgroup.Group, socket net.Listener, h http.Handler, secure *tls.Config) {
	server := web.Server(h, c.log)
	if secure != nil {
		server.TLSConfig = secure
	}
	g.Go(func() error {
		err := error(nil)
		if secure != nil {
			err = server.ServeTLS(socket, "", "")
		} else {
			err = server.Serve(socket)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve %s: %w", socket.Addr(), err)
	})
	g.Go(func() error {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return errors.Join(err, server.Close())
		}
		return nil
	})
}

type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// certificates returns where the public listener's certificate comes from.
func (c *City) certificates(ctx context.Context, o ServeOptions) (getCertificate, error) {
	if o.CertFile != "" {
		f := &certificateFile{cert: o.CertFile, key: o.KeyFile}
		_, err := f.get(nil) // a broken file is found at the start
		return f.get, err
	}
	if _, err := c.CA.TLSCertificate(ctx); err != nil {
		return nil, err
	}
	return func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return c.CA.TLSCertificate(h.Context()) }, nil
}

// certificateFile reads a certificate again when its file changes.
type certificateFile struct {
	cert, key string
	mu        sync.Mutex
	modified  time.Time
	current   *tls.Certificate
}

func (f *certificateFile) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.cert)
	if err == nil && !info.ModTime().Equal(f.modified) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(f.cert, f.key); err == nil {
			f.current, f.modified = &pair, info.ModTime()
		}
	}
	if f.current == nil {
		return nil, fmt.Errorf("read TLS certificate: %w", err)
	}
	return f.current, nil // half-written files: the one before serves on
}

// mutual asks for a client certificate of the city that is not revoked.
func (c *City) mutual(certificate getCertificate) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: certificate, ClientAuth: tls.RequireAndVerifyClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			return c.CA.CheckClient(ctx, s.VerifiedChains)
		},
	}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := config.Clone()
		now.GetConfigForClient, now.ClientCAs = nil, c.CA.Roots() // a new root may have taken over
		return now, nil
	}
	return config
}
