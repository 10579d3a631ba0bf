// SPDX-License-Identifier: Apache-2.0

// A TURN server of pion/turn, as small as its documentation shows one: something to compare with.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/pion/turn/v2"
)

func serve(listen, user, password, realm string, low, high int) error {
	conn, err := net.ListenPacket("udp4", listen)
	if err != nil {
		return err
	}
	key := turn.GenerateAuthKey(user, realm, password)
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: realm,
		AuthHandler: func(name, _ string, _ net.Addr) ([]byte, bool) {
			return key, name == user
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorPortRange{
				RelayAddress: net.IPv4(127, 0, 0, 1),
				Address:      "127.0.0.1",
				MinPort:      uint16(low),
				MaxPort:      uint16(high),
				MaxRetries:   1000,
			},
		}},
	})
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	return server.Close()
}

func main() {
	listen := flag.String("listen", "127.0.0.1:3478", "address and UDP port")
	user := flag.String("user", "bench", "user name")
	password := flag.String("password", "bench", "password")
	realm := flag.String("realm", "bench", "realm")
	low := flag.Int("min-port", 10000, "first port for allocations")
	high := flag.Int("max-port", 31999, "last port for allocations")
	flag.Parse()
	if err := serve(*listen, *user, *password, *realm, *low, *high); err != nil {
		fmt.Fprintln(os.Stderr, "pion-server:", err)
		os.Exit(1)
	}
}
