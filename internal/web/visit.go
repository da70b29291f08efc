package web

import (
	"net/http"
	"net/url"
	"strings"
)

// looks are the parameters with which a visitor asks for a look, by their values.
var looks = map[string]string{"zh": "lang", "en": "lang", "large": "text", "normal": "text"}

var lookCookies = map[string]string{"lang": langCookie, "text": textCookie}

// choose keeps a look that the address asks for, and returns the address without
// it, "" if it asks for none.
func choose(w http.ResponseWriter, r *http.Request) string {
	if r.Method != http.MethodGet || !strings.Contains(r.URL.RawQuery, "lang=") && !strings.Contains(r.URL.RawQuery, "text=") {
		return ""
	}
	q, changed := r.URL.Query(), false
	for param, cookie := range lookCookies {
		value := q.Get(param)
		if looks[value] != param {
			continue
		}
		http.SetCookie(w, &http.Cookie{Name: cookie, Value: value, Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, HttpOnly: true})
		q.Del(param)
		changed = true
	}
	if !changed {
		return ""
	}
	path := LocalPath(r.URL.EscapedPath())
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// LocalPath returns next if it is an address within the site, else "/". Browsers
// take a backslash for a slash and drop tabs, so both are refused.
func LocalPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r == '\\' || r <= ' ' || r == 0x7f }) {
		return "/"
	}
	return next
}
