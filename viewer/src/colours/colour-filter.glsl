#version 300 es
// The view with its brightness, contrast and gamma changed, or one stain alone: colour deconvolution of Ruifrok and
// Johnston, "Quantification of histochemical staining by color deconvolution" (2001). The optical density of a pixel is a
// sum of the stains' directions; its parts come by the inverse of the matrix of directions, and one of them is shown
// in its own colour, as light through that stain alone.
precision highp float;

uniform sampler2D view;
uniform float brightness; // -1 to 1, added
uniform float contrast; // about 0.5, from 0 up
uniform float gamma; // of what is shown, from 0.1 up
uniform int stain; // -1 for all
uniform mat3 densities; // optical density to amounts of the stains
uniform vec3 direction; // the stain's

in vec2 place;
out vec4 shown;

void main() {
  vec4 pixel = texture(view, place);
  vec3 colour = pixel.rgb;
  if (stain >= 0) {
    vec3 amounts = densities * -log(max(colour, vec3(1.0 / 255.0)));
    colour = exp(-max(amounts[stain], 0.0) * direction);
  }
  colour = clamp((colour - 0.5) * contrast + 0.5 + brightness, 0.0, 1.0);
  // What the slide doesn't cover stays as it is: the canvas is premultiplied.
  shown = vec4(pow(colour, vec3(1.0 / gamma)), 1.0) * pixel.a;
}
