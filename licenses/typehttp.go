package licenses

import (
	"net/http"
	"strconv"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// TypesScope is what an access token needs to add a licence type: who says which
// agency may issue a type says which types there are.
const TypesScope = "registry"

// typeView is a type as the API shows it.
type typeView struct {
	ID       string    `json:"id"`
	Version  int       `json:"version"`
	Code     uint64    `json:"code"`
	Names    typeNames `json:"names"`
	Holder   string    `json:"holder"`
	Years    int       `json:"years"`
	Review   []string  `json:"review"`            // the posts that decide on an application at a desk, in order
	Versions int       `json:"versions,omitzero"` // how many there are
	File     string    `json:"file,omitempty"`    // as it was added
}

type typeNames struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

func viewOf(t *Type) typeView {
	return typeView{ID: t.ID, Version: t.Version, Code: t.Code, Names: typeNames(t.Names), Holder: t.Holder, Years: t.Years, Review: t.Reviews()}
}

func (s *Service) listTypes(w http.ResponseWriter, _ *http.Request, _ web.Caller) error {
	list := []typeView{}
	for _, t := range s.Types() {
		list = append(list, viewOf(t))
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"types": list})
}

// getType shows one type with its file: the newest version, or ?version=N.
func (s *Service) getType(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	c := s.catalog.now.Load()
	id := r.PathValue("id")
	t := c.newest(id)
	if v := r.URL.Query().Get("version"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fault.InvalidInput("the query has a problem", fault.Problem{Path: "version", Message: "want a number from 1"})
		}
		t = c.at(id, n)
	}
	if t == nil {
		return fault.New(fault.NotFound, "no such licence type or version")
	}
	view := viewOf(t)
	view.Versions, view.File = len(c.versions[id]), string(t.body)
	return web.WriteJSON(w, http.StatusOK, view)
}

func (s *Service) postType(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	file, err := typeFile(w, r)
	if err != nil {
		return err
	}
	t, added, err := s.AddType(r.Context(), c, file)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = http.StatusCreated
	}
	return web.WriteJSON(w, status, viewOf(t))
}

func (s *Service) postTypeCheck(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	file, err := typeFile(w, r)
	if err != nil {
		return err
	}
	t, err := s.CheckType(r.Context(), file)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewOf(t))
}

// typeFile reads {"file": "…"}: the text of a type file.
func typeFile(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body struct {
		File string `json:"file"`
	}
	if err := web.DecodeJSON(w, r, 2*maxTypeFile, &body); err != nil {
		return nil, err
	}
	return []byte(body.File), nil
}
