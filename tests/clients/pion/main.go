// SPDX-License-Identifier: Apache-2.0

// Two peer connections of pion/webrtc in one process that reach each other through a relay: each message comes back. Prints JSON.
//
// Argument: JSON with "servers", for each end an ICE server, the second null if it has none; "bytes" that have to come back; and "seconds"
// that the call has to last.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pion/webrtc/v3"
)

const (
	size   = 1000
	window = 32
)

type server struct {
	URLs       string `json:"urls"`
	Username   string `json:"username"`
	Credential string `json:"credential"`
}

type call struct {
	Servers []*server `json:"servers"`
	Bytes   uint64    `json:"bytes"`
	Seconds int       `json:"seconds"`
}

type result struct {
	Pairs   [2][2]string `json:"pairs"`
	Back    uint64       `json:"back"`
	Bytes   uint64       `json:"bytes"`
	Wrong   uint64       `json:"wrong"`
	Seconds float64      `json:"seconds"`
}

func message(number uint64) []byte {
	data := bytes.Repeat([]byte{byte(number)}, size)
	binary.BigEndian.PutUint64(data, number)
	return data
}

func endpoint(s *server) (*webrtc.PeerConnection, error) {
	// Addresses as they are, instead of names for multicast DNS; one family.
	settings := webrtc.SettingEngine{}
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	configuration := webrtc.Configuration{}
	if s != nil {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		configuration.ICEServers = []webrtc.ICEServer{{
			URLs: []string{s.URLs}, Username: s.Username, Credential: s.Credential, CredentialType: webrtc.ICECredentialTypePassword,
		}}
	}
	return webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(configuration)
}

// describe sets one end's description, with all of its candidates, and gives it to the other.
func describe(one, other *webrtc.PeerConnection, make func() (webrtc.SessionDescription, error)) error {
	gathered := webrtc.GatheringCompletePromise(one)
	description, err := make()
	if err != nil {
		return err
	}
	if err = one.SetLocalDescription(description); err != nil {
		return err
	}
	<-gathered
	return other.SetRemoteDescription(*one.LocalDescription())
}

func types(pc *webrtc.PeerConnection) ([2]string, error) {
	pair, err := pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return [2]string{}, fmt.Errorf("no pair is selected: %w", err)
	}
	return [2]string{pair.Local.Typ.String(), pair.Remote.Typ.String()}, nil
}

func run(wanted call) (*result, error) {
	left, err := endpoint(wanted.Servers[0])
	if err != nil {
		return nil, err
	}
	right, err := endpoint(wanted.Servers[1])
	if err != nil {
		return nil, err
	}
	channel, err := left.CreateDataChannel("messages", nil)
	if err != nil {
		return nil, err
	}
	right.OnDataChannel(func(other *webrtc.DataChannel) {
		other.OnMessage(func(m webrtc.DataChannelMessage) { _ = other.Send(m.Data) })
	})

	got, begun := result{}, time.Now()
	var sent uint64
	var once sync.Once
	done := make(chan struct{})
	fill := func() {
		for ; sent-got.Back < window; sent++ {
			_ = channel.Send(message(sent))
		}
	}
	channel.OnOpen(fill)
	channel.OnMessage(func(m webrtc.DataChannelMessage) {
		if !bytes.Equal(m.Data, message(got.Back)) {
			got.Wrong++
		}
		got.Back++
		enough := got.Back*size >= wanted.Bytes
		if enough && time.Since(begun) >= time.Duration(wanted.Seconds)*time.Second {
			once.Do(func() { close(done) })
			return
		}
		if enough && sent == got.Back {
			time.Sleep(200 * time.Millisecond)
		}
		if !enough || sent == got.Back {
			fill()
		}
	})
	if err = describe(left, right, func() (webrtc.SessionDescription, error) { return left.CreateOffer(nil) }); err != nil {
		return nil, err
	}
	if err = describe(right, left, func() (webrtc.SessionDescription, error) { return right.CreateAnswer(nil) }); err != nil {
		return nil, err
	}
	<-done
	got.Bytes, got.Seconds = got.Back*size, time.Since(begun).Seconds()
	for i, pc := range []*webrtc.PeerConnection{left, right} {
		if got.Pairs[i], err = types(pc); err != nil {
			return nil, err
		}
	}
	return &got, nil
}

func main() {
	var wanted call
	err := json.Unmarshal([]byte(os.Args[1]), &wanted)
	if err == nil {
		var got *result
		if got, err = run(wanted); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(got)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
