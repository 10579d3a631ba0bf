/* SPDX-License-Identifier: Apache-2.0 */
/* The ports of the bare forwarder, the same in it and in the generator: offsets to its base port. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#define FLOOR_MAX_CLIENTS 300u
#define FLOOR_RELAYED     1u   /* + client: the forwarder's socket towards the peer */
#define FLOOR_CLIENT      300u /* + client: the generator's client */
#define FLOOR_PEER        600u /* + client: the generator's peer, reached by ChannelData */
#define FLOOR_PERMITTED   900u /* + client: likewise, by Send and Data indications */

#endif
