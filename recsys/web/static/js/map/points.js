/** Points drawn by WebGL 2: one call for all of them, whenever something changed. */

const VERTEX = `#version 300 es
in vec2 place;
in float genre;
in float state;
uniform vec4 view; // centre, scale of x, scale of y
uniform float size;
uniform sampler2D palette;
out vec4 colour;
void main() {
  gl_Position = vec4((place - view.xy) * view.zw * 2.0, 0.0, 1.0);
  bool marked = state > 1.5;
  bool dim = state < 0.5;
  gl_PointSize = marked ? size * 1.6 + 1.0 : size;
  vec3 rgb = texelFetch(palette, ivec2(int(genre), 0), 0).rgb;
  colour = vec4(rgb, dim ? 0.10 : marked ? 1.0 : 0.72);
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour;
out vec4 pixel;
void main() {
  float far = length(gl_PointCoord - 0.5) * 2.0;
  float alpha = colour.a * (1.0 - smoothstep(0.7, 1.0, far));
  if (alpha < 0.01) discard;
  pixel = vec4(colour.rgb * alpha, alpha);
}`;

/** States of a point. */
export const DIM = 0;
export const PLAIN = 1;
export const MARKED = 2;

/**
 * @param {WebGL2RenderingContext} gl
 * @param {number} type
 * @param {string} source
 */
function shader(gl, type, source) {
  const made = /** @type {WebGLShader} */ (gl.createShader(type));
  gl.shaderSource(made, source);
  gl.compileShader(made);
  if (!gl.getShaderParameter(made, gl.COMPILE_STATUS)) {
    throw new Error(gl.getShaderInfoLog(made) ?? "shader");
  }
  return made;
}

export class Points {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Uint16Array} places x and y of each point, in 0..65535
   * @param {Uint8Array} genres
   * @param {[number, number, number][]} colours of the genres, in 0..255
   */
  constructor(canvas, places, genres, colours) {
    const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.canvas = canvas;
    this.count = genres.length;
    /** Of each point: DIM, PLAIN or MARKED. */
    this.states = new Uint8Array(this.count).fill(PLAIN);
    const program = gl.createProgram();
    gl.attachShader(program, shader(gl, gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, shader(gl, gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    gl.useProgram(program);
    this.view = gl.getUniformLocation(program, "view");
    this.size = gl.getUniformLocation(program, "size");
    const attribute = (
      /** @type {string} */ name, /** @type {Uint16Array | Uint8Array} */ data,
      /** @type {number} */ width,
    ) => {
      const buffer = gl.createBuffer();
      const at = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      const wide = data.BYTES_PER_ELEMENT === 2;
      const type = wide ? gl.UNSIGNED_SHORT : gl.UNSIGNED_BYTE;
      return { buffer, at, width, type, wide, bytes: width * data.BYTES_PER_ELEMENT };
    };
    this.attributes = [attribute("place", places, 2), attribute("genre", genres, 1)];
    this.state = attribute("state", this.states, 1);
    this.attributes.push(this.state);
    this.every = 0;
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    this.setColours(colours);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** @param {[number, number, number][]} colours */
  setColours(colours) {
    const { gl } = this;
    const texels = new Uint8Array(256 * 4).fill(255);
    colours.slice(0, 256).forEach((rgb, at) => texels.set(rgb, at * 4));
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
  }

  /** Send the states, after they were changed. */
  sendStates() {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.state.buffer);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, this.states);
  }

  /**
   * @param {import("./view.js").View} view
   * @param {number} size of a point in CSS pixels
   * @param {number} every draw one point of so many: where the processor draws, while one moves
   */
  draw(view, size, every = 1) {
    const { gl, canvas } = this;
    const scale = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [Math.round(view.width * scale), Math.round(view.height * scale)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const side = view.side;
    gl.uniform4f(this.view, view.x, view.y, side / view.width, -side / view.height);
    gl.uniform1f(this.size, size * scale);
    this.#thin(every);
    gl.drawArrays(gl.POINTS, 0, Math.floor(this.count / every));
  }

  /** @param {number} every */
  #thin(every) {
    if (every === this.every) return;
    this.every = every;
    const { gl } = this;
    for (const { buffer, at, width, type, wide, bytes } of this.attributes) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.vertexAttribPointer(at, width, type, wide, bytes * every, 0);
    }
  }

  /** Let go of the memory of the graphics card. */
  close() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
