package city

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"syscall"

	"github.com/signet-city/signet/cmd/demoapp"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// firstApp is the port that the demo's first relying party would like to have.
const firstApp = 8081

// listenApps opens the sockets of the demo's relying parties, which stand on
// 127.0.0.1: to browsers another site than the provider's localhost. It returns
// their origins. An existing city's are kept, since the provider sends people
// back to them alone.
func (o DemoOptions) listenApps(l *Listeners, fresh bool) (origins []string, err error) {
	wanted, err := o.appAddresses(Port(l.HTTP), fresh)
	if err != nil {
		return nil, err
	}
	for _, address := range wanted {
		socket, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) && fresh && len(o.Apps) == 0 {
			socket, err = net.Listen("tcp", "127.0.0.1:0")
		}
		if err != nil {
			return nil, fmt.Errorf("listen on %s for a relying party: %w", address, err)
		}
		l.Apps = append(l.Apps, socket)
		origins = append(origins, "http://127.0.0.1:"+strconv.Itoa(Port(socket)))
	}
	return origins, nil
}

func (o DemoOptions) appAddresses(httpPort int, fresh bool) ([]string, error) {
	p, err := readPopulation()
	if err != nil {
		return nil, err
	}
	addresses := o.Apps
	switch {
	case !fresh:
		addresses = nil
		d, _, err := readDemo(o.Where)
		if err != nil {
			return nil, err
		}
		for _, site := range d.Clients {
			u, err := url.Parse(site.URL)
			if err != nil {
				return nil, err
			}
			addresses = append(addresses, u.Host)
		}
	case len(addresses) == 0:
		for i := range p.Sites {
			port := 0
			if httpPort == 8080 {
				port = firstApp + i
			}
			addresses = append(addresses, "127.0.0.1:"+strconv.Itoa(port))
		}
	}
	for _, address := range addresses {
		if host, _, err := net.SplitHostPort(address); err != nil || host != "127.0.0.1" {
			return nil, fault.New(fault.Invalid, "a relying party of the demo listens on 127.0.0.1:PORT, not on "+address)
		}
	}
	if len(addresses) != len(p.Sites) {
		return nil, fault.New(fault.Invalid, fmt.Sprintf("the demo has %d relying parties: give as many addresses", len(p.Sites)))
	}
	return addresses, nil
}

// openApps opens the relying parties and has the home page lead to them. They know the issuer, and their own name
// and credentials.
func (o DemoOptions) openApps(c *City, log *slog.Logger) error {
	d, _, err := readDemo(o.Where)
	if err != nil {
		return err
	}
	for i, site := range d.Clients {
		var others []demoapp.Link
		for j, other := range d.Clients {
			if j != i {
				others = append(others, demoapp.Link{Name: web.Text{ZH: other.Name, EN: other.NameEN}, URL: other.URL})
			}
		}
		app, err := demoapp.New(demoapp.Options{Name: web.Text{ZH: site.Name, EN: site.NameEN}, Issuer: d.Issuer, ClientID: site.ID, ClientSecret: site.Secret, PrivateJWK: site.PrivateJWK,
			Self: site.URL, Other: others, Logger: log})
		if err != nil {
			return err
		}
		c.apps = append(c.apps, app)
		c.home.sites = append(c.home.sites, homeSite{Name: web.Text{ZH: site.Name, EN: site.NameEN}, Address: site.URL + "/"})
	}
	return nil
}
