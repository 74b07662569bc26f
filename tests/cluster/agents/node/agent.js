// An agent as LiveKit's documentation prints them for Node.js: joins, and plays a tone. No keys.
import { ServerOptions, cli, defineAgent } from '@livekit/agents';
import {
  AudioFrame,
  AudioSource,
  LocalAudioTrack,
  TrackPublishOptions,
  TrackSource,
} from '@livekit/rtc-node';
import { fileURLToPath } from 'node:url';

const RATE = 48000;
const SECONDS = 2;

export default defineAgent({
  entry: async (ctx) => {
    await ctx.connect();
    const source = new AudioSource(RATE, 1);
    const track = LocalAudioTrack.createAudioTrack('agent', source);
    await ctx.room.localParticipant.publishTrack(
      track,
      new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }),
    );
    await ctx.waitForParticipant();
    for (let start = 0; start < SECONDS * RATE; start += RATE / 100) {
      const samples = Int16Array.from(
        { length: RATE / 100 },
        (_, i) => 8000 * Math.sin((2 * Math.PI * 440 * (start + i)) / RATE),
      );
      await source.captureFrame(new AudioFrame(samples, RATE, 1, samples.length));
    }
  },
});

cli.runApp(new ServerOptions({ agent: fileURLToPath(import.meta.url) }));
