package main

import (
	"net"
	"strconv"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// takeFrontPort takes the port at which clients find the front, also when it has been
// born again.
func (d *demo) takeFrontPort() (err error) {
	d.frontPort, err = testkit.StartPort()
	return err
}

// front is the base URL at which clients find the search engine.
func (d *demo) front() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(d.frontPort))
}
