package oidc

import (
	"errors"
	"net/url"
	"strings"
)

const maxRedirect = 512

// checkRedirect fails with what is wrong with a redirect URI. It is an absolute
// https address, or an http one on a loopback host, spelt in the one way that
// compares equal, without user, fragment or a parameter of the answer. The literal
// [::1] is refused because a page's policy cannot name it, so a browser would not
// follow the redirect.
func checkRedirect(uri string) error {
	if len(uri) > maxRedirect {
		return errors.New("must have at most 512 characters")
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }) {
		return errors.New("must consist of the characters of an address")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Opaque != "" || u.String() != uri || u.Hostname() == "" || u.Path == "" {
		return errors.New("must be an absolute address with a path")
	}
	if strings.Contains(uri, "#") || u.User != nil || strings.ContainsAny(u.Host, "[]*;,'") || u.Host != strings.ToLower(u.Host) {
		return errors.New("must have a host in lowercase and neither user nor fragment")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1") {
		return errors.New("must be https, or http on localhost or 127.0.0.1")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("must have a query that parses")
	}
	for _, name := range []string{"code", "state", "iss", "error", "error_description", "error_uri"} {
		if query.Has(name) {
			return errors.New("must leave " + name + " to the answer")
		}
	}
	return nil
}

// originOf returns the origin of a redirect URI that checkRedirect has passed.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// withQuery adds the answer's parameters to a redirect URI, whose own stay.
func withQuery(uri string, answer url.Values) string {
	separator := "?"
	switch {
	case strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&"):
		separator = ""
	case strings.Contains(uri, "?"):
		separator = "&"
	}
	return uri + separator + answer.Encode()
}
