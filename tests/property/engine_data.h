/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of prop_engine.c that relay data: the verdicts are what the model says. */
#ifndef ENGINE_DATA_H
#define ENGINE_DATA_H

/* A ChannelData message from |c|. */
void data_of_client(int c);
/* One or two Send indications from |c| to one peer, in either order of attributes. */
void data_indications(int c);
/* One or two datagrams from a peer to the port that |c| has, or had. */
void data_of_peer(int c);

#endif
