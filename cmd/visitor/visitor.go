// Package visitor is somebody at a browser that runs no scripts, for programs that
// use the city's pages as people do: it keeps cookies, follows redirects, fills in
// forms and sends back what is hidden in them.
package visitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// maxPage bounds a page, in bytes.
const maxPage = 4 << 20

// Visitor is one person at one browser; not for concurrent use.
type Visitor struct {
	Forms  int // sent so far
	client *http.Client
}

// New returns a visitor without cookies. Redirects that follow refuses end the
// way with the page before; nil follows all.
func New(follow func(to *url.URL) bool) *Visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // impossible without options
	}
	v := &Visitor{client: &http.Client{Jar: jar, Timeout: 20 * time.Second}}
	v.client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > 20 {
			return errors.New("more than 20 redirects")
		}
		if follow != nil && !follow(req.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return v
}

// Page is a page as the visitor sees it.
type Page struct {
	At       *url.URL
	Status   int
	Location string // where a redirect leads that was not followed
	Body     []byte
	root     *html.Node
}

// Open follows a link.
func (v *Visitor) Open(ctx context.Context, address string) (*Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return v.do(req)
}

// Press fills in the form that has the button and presses it. Fields that values
// do not name keep what they have. The page is returned with the error if it is an
// answer with a status of 400 and up.
func (v *Visitor) Press(ctx context.Context, p *Page, button string, values map[string]string) (*Page, error) {
	form := p.form(button)
	if form == nil {
		return nil, fmt.Errorf("the page %s has no button %q", p.At.Path, button)
	}
	fields := inputs(form)
	for name, value := range values {
		if !fields.Has(name) {
			return nil, fmt.Errorf("the page %s has no field %q", p.At.Path, name)
		}
		fields.Set(name, value)
	}
	if button != "" {
		fields.Set(button, attribute(find(form, isButton(button)), "value"))
	}
	action, err := p.At.Parse(attribute(form, "action"))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	v.Forms++
	return v.do(req)
}

func (v *Visitor) do(req *http.Request) (*Page, error) {
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Accept-Language", "zh")
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, err
	}
	p := &Page{At: resp.Request.URL, Status: resp.StatusCode, Location: resp.Header.Get("Location"), Body: body}
	if p.root, err = html.Parse(bytes.NewReader(body)); err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		return p, fmt.Errorf("%s %s: %s: %s", req.Method, p.At.Path, resp.Status, p.Text("h1"))
	}
	return p, nil
}

// form returns the form that has the button; "" asks for the first form to send.
func (p *Page) form(button string) *html.Node {
	return find(p.root, func(n *html.Node) bool {
		if n.Data != "form" {
			return false
		}
		if button == "" {
			return strings.EqualFold(attribute(n, "method"), "post")
		}
		return find(n, isButton(button)) != nil
	})
}

// Text returns the text of the first element of that name.
func (p *Page) Text(element string) string {
	n := find(p.root, func(n *html.Node) bool { return n.Data == element })
	return strings.Join(strings.Fields(content(n)), " ")
}

// Value returns an attribute of the element with that id.
func (p *Page) Value(id, name string) string {
	return attribute(find(p.root, func(n *html.Node) bool { return attribute(n, "id") == id }), name)
}

// HasButton reports whether a form of the page can be sent by that button.
func (p *Page) HasButton(name string) bool { return p.form(name) != nil }

// Has reports whether the page has a field of that name.
func (p *Page) Has(name string) bool {
	return find(p.root, func(n *html.Node) bool { return n.Data == "input" && attribute(n, "name") == name }) != nil
}

// Link returns the address of the first link whose address begins so, "" if there
// is none.
func (p *Page) Link(prefix string) string {
	return attribute(find(p.root, func(n *html.Node) bool { return n.Data == "a" && strings.HasPrefix(attribute(n, "href"), prefix) }), "href")
}

// content returns all text below a node.
func content(n *html.Node) string {
	if n == nil {
		return ""
	}
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := range n.ChildNodes() {
		b.WriteString(content(c))
	}
	return b.String()
}

// find returns the first element for which is holds, nil if there is none.
func find(n *html.Node, is func(*html.Node) bool) *html.Node {
	if n == nil || n.Type == html.ElementNode && is(n) {
		return n
	}
	for c := range n.ChildNodes() {
		if found := find(c, is); found != nil {
			return found
		}
	}
	return nil
}

func isButton(name string) func(*html.Node) bool {
	return func(n *html.Node) bool {
		return (n.Data == "button" || n.Data == "input" && attribute(n, "type") == "submit") && attribute(n, "name") == name
	}
}

func attribute(n *html.Node, name string) string {
	if n != nil {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
	}
	return ""
}

// has reports whether an element has an attribute, whatever its value.
func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// inputs returns what a form would send as it is.
func inputs(form *html.Node) url.Values {
	values := url.Values{}
	for n := range form.Descendants() {
		name := attribute(n, "name")
		if n.Type != html.ElementNode || name == "" {
			continue
		}
		switch kind := attribute(n, "type"); {
		case n.Data == "textarea":
			values.Set(name, content(n))
		case n.Data == "select":
			values.Set(name, selected(n))
		case n.Data != "input" || kind == "submit" || kind == "file":
		case kind != "radio" && kind != "checkbox":
			values.Set(name, attribute(n, "value"))
		case has(n, "checked"):
			values.Set(name, attribute(n, "value"))
		case !values.Has(name):
			values.Set(name, "") // a choice that is still to be made
		}
	}
	return values
}

// selected returns what a select would send.
func selected(n *html.Node) string {
	option := find(n, func(n *html.Node) bool { return n.Data == "option" && has(n, "selected") })
	if option == nil {
		option = find(n, func(n *html.Node) bool { return n.Data == "option" })
	}
	return attribute(option, "value")
}
