package profile

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// ParseGrant checks a name that an agency may be given for its servers, and returns
// it as it is kept: a DNS name in lowercase, an IP address, or ".zone" for every name
// below a zone. It fails for anything else, wildcards too, and for names and zones
// under which anybody may register (the public suffix list), such as gov.cn.
func ParseGrant(s string) (string, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		if ip.Zone() != "" {
			return "", errors.New("an IP address has no zone here")
		}
		return ip.Unmap().String(), nil
	}
	host := strings.TrimPrefix(s, ".")
	if !validHost(host) {
		return "", errors.New("it is neither an IP address nor a DNS name in lowercase, nor a zone such as .agency.example")
	}
	if suffix, _ := publicsuffix.PublicSuffix(host); suffix == host {
		return "", errors.New("anybody may register names there")
	}
	return s, nil
}

// Grants returns every name that, given to an agency, would cover the host: the most
// specific first. A host that CheckHosts would refuse has none.
func Grants(host string) []string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{ip.Unmap().String()}
	}
	if !validHost(host) {
		return nil
	}
	list := []string{host}
	for {
		_, rest, ok := strings.Cut(host, ".")
		if !ok {
			return list
		}
		list, host = append(list, "."+rest), rest
	}
}
