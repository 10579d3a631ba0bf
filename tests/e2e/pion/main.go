// SPDX-License-Identifier: Apache-2.0

// Talks through a TURN server with pion/turn's client: allocates, sends to echoing peers until each answers, then counts.
//
// pion sends Send indications until its channel is bound, and in channels mode the relay carries nothing else than channels: what is sent
// before is rightly lost. So each peer is asked again until it answers for the first time; from then on every packet has to come back.
package main

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v2"
)

type options struct {
	server, user, password, realm string
	transport                     string
	peers                         []string
	packets                       int
	seed                          int64
}

const (
	patience = 20 * time.Second
	retry    = 100 * time.Millisecond
	question = "hello?"
	answer   = "?olleh"
)

// reversed is what the peers answer.
func reversed(data []byte) []byte {
	out := make([]byte, len(data))
	for i, b := range data {
		out[len(data)-1-i] = b
	}
	return out
}

// first asks peer again and again until its channel is bound and an answer comes.
func first(relayed net.PacketConn, peer net.Addr) error {
	buffer := make([]byte, 65536)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := relayed.WriteTo([]byte(question), peer); err != nil {
			return err
		}
		if err := relayed.SetReadDeadline(time.Now().Add(retry)); err != nil {
			return err
		}
		n, from, err := relayed.ReadFrom(buffer)
		if err == nil && from.String() == peer.String() && string(buffer[:n]) == answer {
			return nil
		}
	}
	return fmt.Errorf("no answer from %v", peer)
}

// count sends packets one by one; each must come back, from the peer it went to.
func count(relayed net.PacketConn, peers []net.Addr, o options) error {
	rng := rand.New(rand.NewSource(o.seed))
	buffer := make([]byte, 65536)
	for i := 0; i < o.packets; i++ {
		peer := peers[i%len(peers)]
		data := make([]byte, 10+rng.Intn(1400))
		rng.Read(data)
		if _, err := relayed.WriteTo(data, peer); err != nil {
			return err
		}
		if err := relayed.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		n, from, err := relayed.ReadFrom(buffer)
		for err == nil && string(buffer[:n]) == answer { // to a question that was asked again
			n, from, err = relayed.ReadFrom(buffer)
		}
		if err != nil {
			return fmt.Errorf("packet %d: %w", i, err)
		}
		if from.String() != peer.String() || !bytes.Equal(buffer[:n], reversed(data)) {
			return fmt.Errorf("packet %d of %d bytes to %v came back as %d bytes from %v", i, len(data), peer, n, from)
		}
	}
	return nil
}

// connect opens what the client talks on.
func connect(o options) (net.PacketConn, error) {
	if o.transport == "udp" {
		return net.ListenPacket("udp4", "127.0.0.1:0")
	}
	conn, err := net.Dial("tcp", o.server)
	if err != nil {
		return nil, err
	}
	if o.transport == "tls" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	return turn.NewSTUNConn(conn), nil
}

func run(o options) error {
	conn, err := connect(o)
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: o.server, TURNServerAddr: o.server, Conn: conn, Username: o.user, Password: o.password,
		Realm: o.realm, LoggerFactory: logging.NewDefaultLoggerFactory(),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if err = client.Listen(); err != nil {
		return err
	}
	mapped, err := client.SendBindingRequest()
	if err != nil {
		return err
	}
	if mapped.String() != conn.LocalAddr().String() {
		return fmt.Errorf("mapped address %v, but it is %v", mapped, conn.LocalAddr())
	}
	relayed, err := client.Allocate()
	if err != nil {
		return err
	}
	fmt.Printf("relayed %v\n", relayed.LocalAddr())
	var peers []net.Addr
	for _, text := range o.peers {
		peer, resolveErr := net.ResolveUDPAddr("udp4", text)
		if resolveErr != nil {
			return resolveErr
		}
		if err = first(relayed, peer); err != nil {
			return err
		}
		peers = append(peers, peer)
	}
	if err = count(relayed, peers, o); err != nil {
		return err
	}
	return relayed.Close()
}

func main() {
	var o options
	var peers string
	var clients int
	flag.StringVar(&o.server, "server", "", "address of the TURN server")
	flag.StringVar(&o.transport, "transport", "udp", "udp, tcp or tls")
	flag.StringVar(&o.user, "user", "", "user name")
	flag.StringVar(&o.password, "password", "", "password")
	flag.StringVar(&o.realm, "realm", "firezone", "realm")
	flag.StringVar(&peers, "peers", "", "addresses of echoing peers, separated by commas")
	flag.IntVar(&o.packets, "packets", 100, "packets to count")
	flag.IntVar(&clients, "clients", 1, "clients at the same time")
	flag.Int64Var(&o.seed, "seed", 1, "seed of sizes and contents")
	flag.Parse()
	o.peers = strings.Split(peers, ",")

	failures := make(chan error)
	for i := 0; i < clients; i++ {
		each := o
		each.seed += int64(i)
		go func() { failures <- run(each) }()
	}
	failed := 0
	for i := 0; i < clients; i++ {
		if err := <-failures; err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed++
		}
	}
	fmt.Printf("%d of %d clients, %d packets each\n", clients-failed, clients, o.packets)
	if failed > 0 {
		os.Exit(1)
	}
}
