package oidc

// levels returns the values of acr that a client may ask for, the weakest first.
func (p *Provider) levels() []string {
	if p.o.Assurance == nil {
		return nil
	}
	return p.o.Assurance.Levels()
}
