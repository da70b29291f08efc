package lint

import "strings"

// checkHosts: names of hosts stand in TLS certificates alone, without wildcards;
// nothing else stands among them.
func checkHosts(c candidate) string {
	switch {
	case len(c.EmailAddresses)+len(c.URIs) > 0:
		return "names mail addresses or URIs"
	case c.rules.Hosts != (len(c.DNSNames)+len(c.IPAddresses) > 0):
		return "names hosts against its profile, or none"
	}
	for _, name := range c.DNSNames {
		if strings.Contains(name, "*") || strings.ToLower(name) != name {
			return "has a wildcard or capitals in the name of a host"
		}
	}
	return ""
}
