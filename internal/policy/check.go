package policy

func check(d *decoder, p *Policy) {}
