import { decodeFrame } from "./decode.ts";

/** Trouble says why there is no camera. */
export type Trouble = "cameraRefused" | "cameraAbsent" | "cameraBusy";

const longest = 1280; // pixels of a frame's longer side
const pause = 60; // ms between two frames

/** Camera shows the camera's picture and looks for codes in it until it is stopped. */
export class Camera {
  private readonly video: HTMLVideoElement;
  private stream: MediaStream | null = null;
  private turn = 0; // a later start or stop ends an earlier one

  constructor(video: HTMLVideoElement) {
    this.video = video;
  }

  /** start looks for codes until found says that it has enough. It returns what is in the way, or null. */
  async start(found: (texts: string[]) => boolean): Promise<Trouble | null> {
    const turn = ++this.turn;
    if (!navigator.mediaDevices?.getUserMedia) return "cameraAbsent";
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 1280 } } });
      if (turn !== this.turn) {
        end(stream);
        return null;
      }
      this.stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
    } catch (e) {
      const current = turn === this.turn;
      if (current) this.stop();
      return current ? trouble(e) : null;
    }
    void this.look(turn, found);
    return null;
  }

  stop(): void {
    this.turn++;
    if (this.stream) end(this.stream);
    this.stream = null;
    this.video.srcObject = null;
  }

  private async look(turn: number, found: (texts: string[]) => boolean): Promise<void> {
    const canvas = document.createElement("canvas");
    const c = canvas.getContext("2d", { willReadFrequently: true })!;
    while (turn === this.turn) {
      const { videoWidth: w, videoHeight: h } = this.video;
      if (w > 0 && h > 0) {
        const scale = Math.min(1, longest / Math.max(w, h));
        canvas.width = Math.round(w * scale);
        canvas.height = Math.round(h * scale);
        c.drawImage(this.video, 0, 0, canvas.width, canvas.height);
        try {
          const { texts } = await decodeFrame(c.getImageData(0, 0, canvas.width, canvas.height));
          if (turn !== this.turn) return;
          if (texts.length > 0 && found(texts)) return;
        } catch {
          // a frame that took too long; the next one may not
        }
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

function end(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

function trouble(e: unknown): Trouble {
  switch (e instanceof DOMException ? e.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "cameraRefused";
    case "NotFoundError":
    case "OverconstrainedError":
      return "cameraAbsent";
  }
  return "cameraBusy";
}
