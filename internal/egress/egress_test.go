package egress_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/signet-city/signet/internal/egress"
	"github.com/signet-city/signet/internal/fault"
)

func TestIsPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true, "172.32.0.1": true, "100.128.0.1": true,
		"127.0.0.1": false, "127.1.2.3": false, "::1": false, "::": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false, "198.18.0.1": false,
		"192.0.2.1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "64:ff9b::7f00:1": false, "64:ff9b::a00:1": false,
		"2002:7f00:1::": false, "2001:0:1::": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "ff02::1": false, "2001:db8::1": false,
		"::127.0.0.1": false, "fec0::1": false, "4000::1": false,
	} {
		if got := egress.IsPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestCheckURL(t *testing.T) {
	strict, lax := egress.New(egress.Options{}), egress.New(egress.Options{AllowPrivateAddressesInsecure: true})
	for address, want := range map[string]struct{ strict, lax bool }{
		"https://agency.example/logout":     {true, true},
		"https://agency.example:8443/a?b=c": {true, true},
		"https://8.8.8.8/":                  {true, true},
		"https://127.0.0.1/":                {false, true},
		"https://[::1]/":                    {false, true},
		"https://[::ffff:169.254.169.254]/": {false, true},
		"http://127.0.0.1:8080/":            {false, true},
		"http://localhost:8080/":            {false, true},
		"http://10.0.0.1/":                  {false, false},
		"http://agency.example/":            {false, false},
		"https://user@agency.example/":      {false, false},
		"https://user:pass@agency.example/": {false, false},
		"https://agency.example/#x":         {false, false},
		"https:///logout":                   {false, false},
		"https:agency.example":              {false, false},
		"ftp://agency.example/":             {false, false},
		"file:///etc/passwd":                {false, false},
		"//agency.example/":                 {false, false},
		"":                                  {false, false},
		"https://agency.example/ ":          {false, false},
		"https://agency.example/\n":         {false, false},
		"HTTPS://agency.example/":           {false, false},
		"https://a.example/" + long:         {false, false},
	} {
		if err := strict.CheckURL(address); (err == nil) != want.strict || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", address, err)
		}
		if err := lax.CheckURL(address); (err == nil) != want.lax {
			t.Errorf("%q where private addresses are allowed: %v", address, err)
		}
	}
}

var long = strings.Repeat("x", 512)

// nameServer answers every question with one address, and returns a resolver that
// asks it.
func nameServer(t *testing.T, ip string) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
			if a := netip.MustParseAddr(ip); a.Is4() && q.Type == dnsmessage.TypeA {
				answer.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: a.As4()}}}
			} else if a.Is6() && q.Type == dnsmessage.TypeAAAA {
				answer.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
			}
			b, err := answer.Pack()
			if err != nil {
				continue
			}
			_, _ = socket.WriteTo(b, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

// TestNamesThatLeadInside: what a name resolves to decides, and nothing is sent.
func TestNamesThatLeadInside(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"} {
		c := egress.New(egress.Options{Roots: roots(server), Resolver: nameServer(t, ip), Timeout: 2 * time.Second})
		_, err := c.Get(t.Context(), "https://innocent.example:"+port+"/", 100)
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "not a public one") {
			t.Errorf("%s: %v", ip, err)
		}
		if strings.Contains(fault.Public(err), ip) {
			t.Errorf("the public sentence tells %s", ip)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls arrived", n)
	}
}

func roots(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

// site is a stranger's server, and the client that may call it.
func site(t *testing.T, h http.HandlerFunc) (*httptest.Server, *egress.Client) {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	return server, egress.New(egress.Options{AllowPrivateAddressesInsecure: true, Roots: roots(server), Timeout: time.Second})
}

func TestPost(t *testing.T) {
	server, c := site(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || string(b) != "logout_token=x" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
			r.Header.Get("X-Extra") != "1" || r.Header.Get("Cookie") != "" {
			t.Errorf("%s %q %v", r.Method, b, r.Header)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.WriteHeader(http.StatusNoContent)
	})
	for range 2 { // no cookie comes back
		a, err := c.Post(t.Context(), server.URL+"/logout", "application/x-www-form-urlencoded", http.Header{"X-Extra": {"1"}}, []byte("logout_token=x"))
		if err != nil || a.Status != http.StatusNoContent {
			t.Fatalf("%+v, %v", a, err)
		}
	}
}

func TestGetRefuses(t *testing.T) {
	var inside atomic.Int32
	hidden := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	defer hidden.Close()
	server, c := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, hidden.URL, http.StatusFound)
		case "/endless":
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 4096))
			}
		case "/long":
			_, _ = w.Write(make([]byte, 64<<10+1))
		case "/slow":
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/silent":
			<-r.Context().Done()
		case "/packed":
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("asks for a packed answer")
			}
			_, _ = w.Write([]byte("ok"))
		}
	})
	a, err := c.Get(t.Context(), server.URL+"/redirect", 1000)
	if err != nil || a.Status != http.StatusFound || inside.Load() != 0 {
		t.Errorf("redirect: %d, %v, %d calls inside", a.Status, err, inside.Load())
	}
	if a, err := c.Get(t.Context(), server.URL+"/packed", 2); err != nil || string(a.Body) != "ok" {
		t.Errorf("as long as the limit: %q, %v", a.Body, err)
	}
	for path, kind := range map[string]fault.Kind{"/endless": fault.TooLarge, "/slow": fault.Unavailable, "/silent": fault.Unavailable} {
		if _, err := c.Get(t.Context(), server.URL+path, 1<<20); fault.KindOf(err) != kind {
			t.Errorf("%s: %v", path, err)
		}
	}
	if a, err := c.Post(t.Context(), server.URL+"/long", "text/plain", nil, nil); err != nil || a.Status != http.StatusOK || len(a.Body) != 64<<10 {
		t.Errorf("a long answer to a post: %d with %d bytes, %v", a.Status, len(a.Body), err)
	}
	if _, err := c.Post(t.Context(), server.URL+"/slow", "text/plain", nil, nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a slow answer to a post: %v", err)
	}
	stranger := egress.New(egress.Options{AllowPrivateAddressesInsecure: true})
	if _, err := stranger.Get(t.Context(), server.URL+"/?secret=1", 100); fault.KindOf(err) != fault.Unavailable || strings.Contains(err.Error(), "secret") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, server.URL, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who has gone: %v", err)
	}
}
