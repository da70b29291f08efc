// Codes in pictures, found by a worker that is ended when a picture takes it too long.

declare const DECODER: string;

export type Question = { id: number } & ({ image: ImageData; file?: never } | { image?: never; file: Blob });

export interface Answer {
  id: number;
  texts: string[];
  unreadable?: boolean;
}

/** Slow says that a picture took too long. */
export class Slow extends Error {}

const patience = 20_000; // ms; loading the decoder for the first time is in it

let worker: Worker | null = null;
let last = 0;

function ask(q: { image: ImageData } | { file: Blob }): Promise<Answer> {
  const w = (worker ??= new Worker(DECODER, { type: "module" }));
  const id = ++last;
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      w.removeEventListener("message", hear);
      w.removeEventListener("error", fail);
    };
    const drop = (e: Error) => {
      done();
      w.terminate();
      if (worker === w) worker = null;
      reject(e);
    };
    const hear = (e: MessageEvent<Answer>) => {
      if (e.data.id !== id) return;
      done();
      resolve(e.data);
    };
    const fail = () => drop(new Error("decoder"));
    const timer = setTimeout(() => drop(new Slow()), patience);
    w.addEventListener("message", hear);
    w.addEventListener("error", fail);
    w.postMessage({ id, ...q });
  });
}

export const decodeFrame = (image: ImageData) => ask({ image });
export const decodeFile = (file: Blob) => ask({ file });
