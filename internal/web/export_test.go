package web

import "net/http"

// Own returns the pages of the site itself.
func (s *Site) Own() *Pages { return s.pages }

// Failure returns the page for err.
func (s *Site) Failure(r *http.Request, err error) Page { return s.failure(r, err) }

// Policy returns the Content-Security-Policy of a page whose forms lead there.
var Policy = policy
