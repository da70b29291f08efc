package console

import (
	"net/url"
	"strconv"

	"github.com/signet-city/signet/internal/web"
)

// link is somewhere to go.
type link struct {
	Name    web.Text
	Address string
	Current bool
}

// room is what stands on every page of the console.
type room struct{ Rooms []link }

// in marks a page's room among all.
func in(address string) room {
	list := []link{
		{Name: web.Text{ZH: "概览", EN: "Overview"}, Address: "/security"},
		{Name: web.Text{ZH: "申请", EN: "Requests"}, Address: "/security/requests"},
		{Name: web.Text{ZH: "安全官", EN: "Officers"}, Address: "/security/officers"},
		{Name: web.Text{ZH: "根密钥仪式", EN: "Root ceremony"}, Address: "/security/root"},
		{Name: web.Text{ZH: "日志", EN: "Log"}, Address: "/security/log"},
	}
	for i := range list {
		list[i].Current = list[i].Address == address
	}
	return room{list}
}

// pager is the way through a long list.
type pager struct{ First, Next string }

// at returns an address with a query. Pairs of names and values follow; empty
// values are left out.
func at(path string, query ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		if query[i+1] != "" {
			q.Set(query[i], query[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// cut returns one page of a list by its number, as the address has it, and the way
// on. The query is that of the list's other pages.
func cut[T any](list []T, number string, size int, path string, query ...string) ([]T, pager, error) {
	n := 1
	if number != "" {
		var err error
		if n, err = strconv.Atoi(number); err != nil || n < 1 || n > 1<<20 {
			return nil, pager{}, errNowhere
		}
	}
	var p pager
	from := min((n-1)*size, len(list))
	until := min(from+size, len(list))
	if n > 1 {
		p.First = at(path, query...)
	}
	if until < len(list) {
		p.Next = at(path, append(query, "page", strconv.Itoa(n+1))...)
	}
	return list[from:until], p, nil
}
