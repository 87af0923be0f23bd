/** What the page uses of face-api: its own types need those of all of TensorFlow.js. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export type Expressions = Record<
  "neutral" | "happy" | "sad" | "angry" | "fearful" | "disgusted" | "surprised",
  number
>;

export class TinyFaceDetectorOptions {
  constructor(options: { inputSize: number; scoreThreshold: number });
}

export interface Seen {
  detection: { relativeBox: Box };
  expressions: Expressions;
}

export function detectSingleFace(
  input: HTMLVideoElement,
  options: TinyFaceDetectorOptions,
): { withFaceExpressions(): Promise<Seen | undefined> };

interface Network {
  loadFromUri(folder: string): Promise<void>;
}

export const nets: { tinyFaceDetector: Network; faceExpressionNet: Network };
export const tf: { setBackend(name: "webgl" | "cpu"): Promise<boolean>; ready(): Promise<void> };
